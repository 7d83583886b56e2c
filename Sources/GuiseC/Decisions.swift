// What these functions promise is in guise.h.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import AccessControl
public import CGuiseInterface
import Glibc
import Guise

@c @implementation
public func guise_access_check(
    _ token: OpaquePointer?, _ descriptor: UnsafeRawPointer?, _ size: Int, _ desired: UInt32,
    _ mapping: UnsafePointer<guise_mapping>?, _ granted: UnsafeMutablePointer<UInt32>?
) -> CInt {
    granted?.pointee = 0
    return outcome {
        let token = try Handles.tokens.object(token)
        let bytes = try bytes(descriptor, size, "descriptor")
        guard token.isKnown else {
            throw Failure(EACCES, "the client connected at Anonymous: there is nobody to decide for")
        }
        let decision: AccessDecision<RuntimeKind>
        do throws(AccessCheckError) {
            decision = try AccessCheck<RuntimeKind>.decide(
                bytes.span.bytes, token: token.deciding, desired: AccessMask(rawValue: desired),
                mapping: mapping.map { GenericMapping($0.pointee) } ?? FileKind.genericMapping,
                context: .plain)
        } catch {
            throw Failure.invalid("\(error)")
        }
        guard decision.isAllowed else {
            throw Failure(
                EACCES,
                "\(token.deciding.user) has not all of the rights 0x\(String(desired, radix: 16)) by this descriptor"
            )
        }
        granted?.pointee = decision.granted.rawValue
        return 0
    }
}

@c @implementation
public func guise_membership_check(_ token: OpaquePointer?, _ sid: UnsafePointer<CChar>?) -> CInt {
    outcome {
        let token = try Handles.tokens.object(token).deciding
        let wanted = try readSID(sid, "sid")
        guard token.isMember(of: wanted) else {
            throw Failure(
                EACCES, "\(wanted) is neither the user \(token.user) nor a group that counts for it")
        }
        return 0
    }
}

@c @implementation
public func guise_privilege_check(_ token: OpaquePointer?, _ name: UnsafePointer<CChar>?) -> CInt {
    outcome {
        let token = try Handles.tokens.object(token).deciding
        let name = try text(name, "name")
        guard let privilege = Privilege(name: name) else {
            throw Failure.invalid("no privilege is called \"\(name)\"")
        }
        guard token.holds(privilege) else {
            throw Failure(EACCES, "\(privilege) is not enabled in the token of \(token.user)")
        }
        return 0
    }
}

extension GenericMapping {
    fileprivate init(_ mapping: guise_mapping) {
        self.init(read: mapping.read, write: mapping.write, execute: mapping.execute, all: mapping.all)
    }
}
