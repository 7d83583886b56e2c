import AccessControl
import CGuise
import Glibc
import GuiseProtocol
import Logging
import Synchronization

/// Managed roots: taking a folder over, and opening what was taken over when the authority starts.
final class RootRequests: Sendable {
    /// Who may do what in a root that was added without a word: SYSTEM and administrators everything, whoever
    /// makes something there everything with it, all others pass through.
    static let defaultSDDL =
        "O:BAG:SYD:PAI(A;OICI;0x1f01ff;;;SY)(A;OICI;0x1f01ff;;;BA)(A;OICIIO;0x1f01ff;;;CO)"

    private let accounts: AccountStore
    private let roots: ManagedRoots
    private let changes = Mutex(())

    init(accounts: AccountStore, roots: ManagedRoots) {
        self.accounts = accounts
        self.roots = roots
    }

    /// Opens every root of the store. Nothing opens in one that is not as it was left, until it is put back
    /// and the authority started anew: going on as if it were no root would leave it to Unix modes.
    func openAll(_ audit: Audit, _ log: Logger) {
        roots.replace(
            accounts.roots().map { root in
                do throws(Refused) {
                    return try Self.open(root)
                } catch {
                    log.error(
                        "managed root unavailable",
                        metadata: ["root": "\(root.path)", "rule": "\(error.message)"])
                    var event = AuditEvent(.rootUnavailable)
                    event.path = Array(root.path.utf8)
                    event.rule = error.message
                    audit.record(event)
                    return OpenRoot(unavailable: root.path)
                }
            })
    }

    private static func open(_ root: ManagedRoot) throws(Refused) -> OpenRoot {
        let descriptor = try openDirectory(root.path)
        let status = try status(of: descriptor)
        guard kernelPath(of: descriptor.number) == Array(root.path.utf8), isClosed(status) else {
            throw Refused(
                .internal,
                "it is not as Guise left it, a folder of the authority's user with mode 0700; put it back and start"
                    + " guised anew, or remove it with `guise root remove`")
        }
        return try take(descriptor, root.path, status)
    }

    /// Takes a folder over. Runs on a thread of its own: adopting a large folder takes its time.
    func add(_ request: WireRootAdd) throws(Refused) -> WireResponse.OneOf_Body {
        guard request.path.hasPrefix("/"), !request.path.utf8.contains(0) else {
            throw Refused(.badRequest, "a managed root is named by its absolute path")
        }
        let result = changes.withLock { _ -> Result<Void, Refused> in
            do throws(Refused) {
                return .success(try add(request.path, request.sddl, adopt: request.adopt))
            } catch { return .failure(error) }
        }
        do { try result.get() } catch { throw error }
        return .done(.init())
    }

    private func add(_ path: String, _ sddl: String, adopt: Bool) throws(Refused) {
        let descriptor = try Self.openDirectory(path)
        guard let bytes = kernelPath(of: descriptor.number),
            let canonical = String(validating: bytes, as: UTF8.self)
        else { throw Refused(.badRequest, "the path of \(path) is no UTF-8") }
        guard canonical != "/" else {
            throw Refused(.badRequest, "the whole machine cannot be a managed root")
        }
        for root in roots.list() {
            let other = String(decoding: root.path, as: UTF8.self)
            guard canonical != other else {
                throw Refused(.alreadyExists, "\(canonical) is a managed root already")
            }
            guard !canonical.hasPrefix(other + "/"), !other.hasPrefix(canonical + "/") else {
                throw Refused(
                    .badRequest, "\(canonical) and the managed root \(other) would lie in each other")
            }
        }
        let own: SecurityDescriptor
        let text = sddl.isEmpty ? Self.defaultSDDL : sddl
        do {
            own = try SecurityDescriptor(sddl: text, domain: accounts.machine)
        } catch { throw Refused(.badRequest, "\(text): \(error)") }
        guard own.owner != nil, own.dacl.acl != nil else {
            throw Refused(.badRequest, "the descriptor of a root needs an owner (O:) and a DACL (D:)")
        }
        let adoption = Adoption(path: canonical)
        try adoption.survey(descriptor.number, adopt: adopt)
        // Closed first: from here on nobody but the authority comes in, and nothing in it changes.
        guard chmodOfPath(descriptor.number, 0o700) == 0, chownOfPath(descriptor.number) == 0 else {
            throw Refused(.internal, "\(canonical) cannot be closed to others: \(errnoText(guise_errno()))")
        }
        let written = StoredDescriptor.write(own.bytes, to: descriptor.number)
        guard written == 0 else {
            throw Refused(
                .internal,
                "\(canonical) takes no security descriptor (\(errnoText(-written))); its file system"
                    + " has to support extended attributes of the \(AuthorityUser.isRoot ? "security" : "user") namespace"
            )
        }
        try adoption.adopt(descriptor.number, parent: own)
        do {
            try accounts.addRoot(ManagedRoot(path: canonical, sddl: own.sddl(domain: accounts.machine)))
        } catch { throw Refused(error) }
        roots.replace(roots.list() + [try Self.take(descriptor, canonical, try Self.status(of: descriptor))])
    }

    /// Forgets a root. What lies in it stays closed, with its descriptors, until somebody changes that by hand.
    func remove(_ request: WireRootRemove) throws(Refused) -> WireResponse.OneOf_Body {
        do {
            try accounts.removeRoot(path: request.path)
        } catch { throw Refused(error) }
        roots.replace(roots.list().filter { $0.path != Array(request.path.utf8) })
        return .done(.init())
    }

    func list() -> WireResponse.OneOf_Body {
        var list = WireRoots()
        list.roots = accounts.roots().map { root in
            WireRoot.with {
                $0.path = root.path
                $0.sddl = root.sddl
            }
        }
        return .roots(list)
    }

    // MARK: The folder itself

    private static func openDirectory(_ path: String) throws(Refused) -> OwnedDescriptor {
        var how = open_how(OpenRequest.Flag.path | OpenRequest.Flag.directory | OpenRequest.Flag.closeOnExec)
        let found = guise_openat2(AT_FDCWD, path, &how)
        guard found >= 0 else { throw Refused(.notFound, "\(path): \(errnoText(-found))") }
        return OwnedDescriptor(found)
    }

    private static func status(of descriptor: OwnedDescriptor) throws(Refused) -> statx {
        var status = statx()
        let error = guise_stat(descriptor.number, "", GUISE_AT_EMPTY_PATH, &status)
        guard error == 0 else { throw Refused(.internal, errnoText(-error)) }
        return status
    }

    private static func isClosed(_ status: statx) -> Bool {
        status.isDirectory && status.stx_uid == geteuid() && status.stx_mode & 0o077 == 0
    }

    private static func take(
        _ descriptor: OwnedDescriptor, _ path: String, _ status: statx
    ) throws(Refused) -> OpenRoot {
        let own = guise_duplicate(descriptor.number)
        guard own >= 0 else { throw Refused(.internal, errnoText(-own)) }
        return OpenRoot(path: path, descriptor: own, status: status)
    }
}

private func chmodOfPath(_ descriptor: Int32, _ mode: UInt32) -> Int32 {
    chmod("/proc/self/fd/\(descriptor)", mode_t(mode))
}

private func chownOfPath(_ descriptor: Int32) -> Int32 {
    chown("/proc/self/fd/\(descriptor)", geteuid(), getegid())
}

/// Gives everything in a folder a descriptor, and nobody but the authority a way in by Unix modes.
private struct Adoption {
    let path: String
    private static let deepest = 128

    init(path: String) { self.path = path }

    /// Looks at everything before anything is changed.
    func survey(_ directory: Int32, adopt: Bool) throws(Refused) {
        var own = statx()
        guard guise_stat(directory, "", GUISE_AT_EMPTY_PATH, &own) == 0 else {
            throw Refused(.internal, errnoText(guise_errno()))
        }
        let device = own.device
        try visit(directory, path, 0) { (_, status, name, _) throws(Refused) in
            guard adopt else {
                throw Refused(
                    .badRequest,
                    "\(path) is not empty; with --adopt everything in it gets an inherited descriptor,"
                        + " is given to root and closed to Unix modes")
            }
            guard status.device == device else {
                throw Refused(.badRequest, "\(name) is a mount: a managed root is one file system")
            }
            guard AuthorityUser.isRoot || status.stx_uid == AuthorityUser.credentials.uid else {
                throw Refused(
                    .badRequest, "\(name) is not yours, and an authority without root cannot take it over")
            }
            guard status.isDirectory || status.stx_nlink == 1 else {
                throw Refused(.badRequest, "\(name) has other names (hard links), which would change with it")
            }
            guard status.isDirectory || status.isRegular || status.isSymbolicLink else {
                throw Refused(.badRequest, "\(name) is neither a folder, a file nor a symbolic link")
            }
            return nil
        }
    }

    /// Gives every object its inherited descriptor.
    func adopt(_ directory: Int32, parent: SecurityDescriptor) throws(Refused) {
        try visit(directory, path, 0, parent) { (object, status, name, parent) throws(Refused) in
            guard !status.isSymbolicLink, let parent else { return nil }
            let descriptor: SecurityDescriptor
            do {
                descriptor = try parent.propagating(
                    to: SecurityDescriptor(owner: .administrators, group: .system, dacl: .present(.empty)),
                    isContainer: status.isDirectory)
            } catch { throw Refused(.internal, "\(name): \(error)") }
            let mode: UInt32 = status.isDirectory || status.stx_mode & 0o111 != 0 ? 0o700 : 0o600
            let written = StoredDescriptor.write(descriptor.bytes, to: object)
            guard written == 0, chownOfPath(object) == 0, chmodOfPath(object, mode) == 0 else {
                throw Refused(
                    .internal,
                    "\(name) cannot be adopted: \(errnoText(written < 0 ? -written : guise_errno()))")
            }
            return descriptor
        }
    }

    /// Calls `body` for every object below a directory, parents first, with the parent's descriptor.
    private func visit(
        _ directory: Int32, _ name: String, _ depth: Int, _ parent: SecurityDescriptor? = nil,
        _ body: (Int32, statx, String, SecurityDescriptor?) throws(Refused) -> SecurityDescriptor?
    ) throws(Refused) {
        guard depth < Self.deepest else {
            throw Refused(.badRequest, "\(name) lies deeper than \(Self.deepest) folders")
        }
        guard let entries = directoryEntries(of: directory) else {
            throw Refused(.internal, "\(name) cannot be listed: \(errnoText(guise_errno()))")
        }
        for entry in entries {
            let child = name + "/" + text(ofName: entry)
            var how = open_how(
                OpenRequest.Flag.path | OpenRequest.Flag.noFollow | OpenRequest.Flag.closeOnExec)
            let found = guise_openat2(directory, entry, &how)
            guard found >= 0 else { throw Refused(.internal, "\(child): \(errnoText(-found))") }
            let object = OwnedDescriptor(found)
            var status = statx()
            guard guise_stat(found, "", GUISE_AT_EMPTY_PATH, &status) == 0 else {
                throw Refused(.internal, "\(child): \(errnoText(guise_errno()))")
            }
            let own = try body(object.number, status, child, parent)
            if status.isDirectory { try visit(found, child, depth + 1, own, body) }
        }
    }
}
