import AccessControl
import CGuise
import Glibc
import GuiseProtocol

/// Reading and changing the security descriptors of files, as the caller. Used on the control thread alone.
final class DescriptorRequests {
    private let files = UnixFiles()
    private let roots: ManagedRoots

    init(roots: ManagedRoots) { self.roots = roots }

    func get(
        _ request: WireDescriptorGet, _ logon: Logon, _ domain: SID
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let (object, isManaged) = try find(request.path, logon)
        let descriptor = try read(object, request.path)
        try require(.readControl, descriptor, logon, request.path)
        var answer = WireDescriptor()
        answer.path = kernelPath(of: object.number).map { String(decoding: $0, as: UTF8.self) } ?? request.path
        answer.binary = .init(descriptor.bytes)
        answer.sddl = descriptor.sddl(domain: domain)
        answer.managed = isManaged
        return .descriptor(answer)
    }

    func set(
        _ request: WireDescriptorSet, _ logon: Logon, _ domain: SID, isAdministrator: Bool
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let wanted: SecurityDescriptor
        do {
            wanted = try SecurityDescriptor(sddl: request.sddl, domain: domain)
        } catch { throw Refused(.badRequest, "\(request.sddl): \(error)") }
        let (object, isManaged) = try find(request.path, logon)
        guard isManaged || isAdministrator else {
            throw Refused(.accessDenied, "outside managed roots only an administrator gives objects descriptors")
        }
        var descriptor: SecurityDescriptor
        if case .failure(let failure) = StoredDescriptor.read(of: object.number, { _ in }), failure.errno == ENODATA {
            // An object that has none: whoever administers the machine gives it its first.
            guard isAdministrator, wanted.owner != nil else {
                throw Refused(.accessDenied, "\(request.path) has no descriptor: an administrator sets one with an owner")
            }
            descriptor = wanted
        } else {
            descriptor = try read(object, request.path)
            var rights: AccessMask<FileKind> = []
            if wanted.owner != nil || wanted.group != nil { rights.insert(.writeOwner) }
            if wanted.dacl != .absent { rights.insert(.writeDAC) }
            if wanted.sacl != .absent { rights.insert(.accessSystemSecurity) }
            guard rights != [] else { throw Refused(.badRequest, "\"\(request.sddl)\" sets nothing") }
            try require(rights, descriptor, logon, request.path)
            if let owner = wanted.owner, owner != descriptor.owner {
                guard logon.token.token.mayOwn(owner) else {
                    throw Refused(.accessDenied, "\(owner) may not be made the owner: it takes SeRestorePrivilege")
                }
            }
            descriptor = descriptor.replaced(by: wanted)
        }
        let error = StoredDescriptor.write(descriptor.bytes, to: object.number)
        guard error == 0 else { throw Refused(.internal, "\(request.path): \(errnoText(-error))") }
        return .done(.init())
    }

    private func find(_ path: String, _ logon: Logon) throws(Refused) -> (OwnedDescriptor, managed: Bool) {
        guard path.hasPrefix("/"), path.utf8.count <= 4096, !path.utf8.contains(0) else {
            throw Refused(.badRequest, "name the object by its absolute path")
        }
        let caller = Caller(
            token: logon.token.token, credentials: logon.credentials, tid: 0, umask: 0)
        let request = OpenRequest(directory: AT_FDCWD, flags: OpenRequest.Flag.path, mode: 0)
        // An absolute path starts at the top whatever the start is.
        let nowhere = PathWalk.Place(directory: OwnedDescriptor(-1), root: nil)
        let walk = PathWalk(files: files, roots: roots, caller: caller)
        switch walk.find(path.utf8.map(CChar.init(bitPattern:)), from: nowhere, request: request) {
        case .managed(let object, _): return (object, true)
        case .missing: throw Refused(.notFound, "\(path): \(errnoText(ENOENT))")
        case .failed(let error): throw Refused(error == EACCES ? .accessDenied : .notFound, "\(path): \(errnoText(error))")
        case .reached(let object), .ownDescriptors(let object): return (object, false)
        case .unix(let directory, let name):
            let found = files.open(
                as: logon.credentials, directory.number, name, open_how(OpenRequest.Flag.path))
            guard found >= 0 else {
                throw Refused(found == -EACCES ? .accessDenied : .notFound, "\(path): \(errnoText(-found))")
            }
            return (OwnedDescriptor(found), false)
        }
    }

    private func read(_ object: OwnedDescriptor, _ path: String) throws(Refused) -> SecurityDescriptor {
        let stored = StoredDescriptor.read(of: object.number) { bytes -> Result<SecurityDescriptor, DescriptorError> in
            do throws(DescriptorError) {
                return .success(try SecurityDescriptor(bytes: bytes.bytes))
            } catch { return .failure(error) }
        }
        switch stored {
        case .success(.success(let descriptor)): return descriptor
        case .success(.failure(let error)):
            throw Refused(.internal, "\(path) carries a damaged security descriptor: \(error)")
        case .failure(let failure) where failure.errno == ENODATA:
            throw Refused(.notFound, "\(path) carries no security descriptor; its Unix mode decides")
        case .failure(let failure): throw Refused(.internal, "\(path): \(errnoText(failure.errno))")
        }
    }

    private func require(
        _ rights: AccessMask<FileKind>, _ descriptor: SecurityDescriptor, _ logon: Logon, _ path: String
    ) throws(Refused) {
        let decision = try? AccessCheck<FileKind>.decide(descriptor, token: logon.token.token, desired: rights)
        guard decision?.isAllowed == true else {
            throw Refused(.accessDenied, "\(path): its security descriptor does not grant you \(rights)")
        }
    }
}

extension SecurityDescriptor {
    /// What is set in `other` in place of what is here.
    fileprivate func replaced(by other: SecurityDescriptor) -> SecurityDescriptor {
        var result = self
        if let owner = other.owner { result.owner = owner }
        if let group = other.group { result.group = group }
        if other.dacl != .absent {
            result.dacl = other.dacl
            result.control = result.control.taking(other.control, [.daclProtected, .daclAutoInherited])
        }
        if other.sacl != .absent {
            result.sacl = other.sacl
            result.control = result.control.taking(other.control, [.saclProtected, .saclAutoInherited])
        }
        return result
    }
}

extension SecurityDescriptor.Control {
    fileprivate func taking(_ other: Self, _ bits: Self) -> Self { subtracting(bits).union(other.intersection(bits)) }
}

extension Token {
    /// Whether the token may make a SID the owner of an object: itself, a group marked for it, or anybody with
    /// SeRestorePrivilege.
    fileprivate func mayOwn(_ sid: SID) -> Bool {
        sid == user || holds(.restore)
            || groups.contains { $0.sid == sid && $0.attributes.isSuperset(of: [.enabled, .owner]) }
    }
}
