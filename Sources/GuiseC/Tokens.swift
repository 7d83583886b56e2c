// What these functions promise is in guise.h.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import AccessControl
import CGuiseInterface
import Glibc
import Guise

/// A token as it was when it was opened.
final class TokenCopy: Sendable {
    let description: TokenDescription
    /// Whose rights a decision is made with.
    let deciding: Token
    /// Whether it is known who the client is.
    let isKnown: Bool

    /// A client's: of whom the service knows, it may decide for, whether or not it may act as it.
    init(ofClient description: TokenDescription) throws {
        self.description = description
        deciding = try Token(description)
        isKnown = description.level != .anonymous
    }

    /// A process's or a thread's.
    init(_ description: TokenDescription) throws {
        self.description = description
        let token = try Token(description)
        deciding = description.level.map { Token.Impersonation(token, level: $0).deciding } ?? token
        isKnown = true
    }

    func group(_ index: CInt) throws(Failure) -> TokenDescription.Group {
        guard description.groups.indices.contains(Int(index)) else {
            throw .invalid("index: the token has \(description.groups.count) groups, from 0 on")
        }
        return description.groups[Int(index)]
    }
}

@c @implementation
public func guise_client_token(
    _ connection: OpaquePointer?, _ token: UnsafeMutablePointer<OpaquePointer?>?
) -> CInt {
    handOut(Handles.tokens, to: token) {
        try TokenCopy(ofClient: try Handles.connections.object(connection).clientToken())
    }
}

@c @implementation
public func guise_thread_token(_ token: UnsafeMutablePointer<OpaquePointer?>?) -> CInt {
    handOut(Handles.tokens, to: token) { try TokenCopy(try currentToken()) }
}

@c @implementation
public func guise_process_token(_ token: UnsafeMutablePointer<OpaquePointer?>?) -> CInt {
    handOut(Handles.tokens, to: token) {
        guard let authority = Authority.current else {
            throw GuiseError.notAttached("this process has not attached; call guise_attach() first")
        }
        return try TokenCopy(try authority.token())
    }
}

@c @implementation
public func guise_token_close(_ token: OpaquePointer?) -> CInt {
    outcome {
        try Handles.tokens.remove(token)
        return 0
    }
}

@c @implementation
public func guise_token_user(
    _ token: OpaquePointer?, _ text: UnsafeMutablePointer<CChar>?, _ size: Int
) -> CInt {
    outcome { try write(try description(token).user.sid.description, to: text, size) }
}

@c @implementation
public func guise_token_user_name(
    _ token: OpaquePointer?, _ text: UnsafeMutablePointer<CChar>?, _ size: Int
) -> CInt {
    outcome { try write(try name(try description(token).user), to: text, size) }
}

@c @implementation
public func guise_token_level(_ token: OpaquePointer?) -> CInt {
    outcome { try description(token).level.map { CInt($0.rawValue) } ?? GUISE_PRIMARY }
}

@c @implementation
public func guise_token_integrity(_ token: OpaquePointer?, _ level: UnsafeMutablePointer<UInt32>?) -> CInt {
    outcome {
        try give(try description(token).integrity.rawValue, to: level)
        return 0
    }
}

@c @implementation
public func guise_token_session(_ token: OpaquePointer?, _ session: UnsafeMutablePointer<UInt64>?) -> CInt {
    outcome {
        try give(try description(token).logonSession, to: session)
        return 0
    }
}

@c @implementation
public func guise_token_unix_user(_ token: OpaquePointer?, _ user: UnsafeMutablePointer<UInt32>?) -> CInt {
    outcome {
        guard let found = try description(token).unixUser else {
            throw Failure(ENOENT, "the token has no Unix user: outside managed roots nothing opens for it")
        }
        try give(found, to: user)
        return 0
    }
}

@c @implementation
public func guise_token_group_count(_ token: OpaquePointer?) -> CInt {
    outcome { CInt(clamping: try description(token).groups.count) }
}

@c @implementation
public func guise_token_group(
    _ token: OpaquePointer?, _ index: CInt, _ text: UnsafeMutablePointer<CChar>?, _ size: Int,
    _ attributes: UnsafeMutablePointer<UInt32>?
) -> CInt {
    outcome {
        let group = try Handles.tokens.object(token).group(index)
        let length = try write(group.principal.sid.description, to: text, size)
        attributes?.pointee = group.attributes
        return length
    }
}

@c @implementation
public func guise_token_group_name(
    _ token: OpaquePointer?, _ index: CInt, _ text: UnsafeMutablePointer<CChar>?, _ size: Int
) -> CInt {
    outcome { try write(try name(try Handles.tokens.object(token).group(index).principal), to: text, size) }
}

@c @implementation
public func guise_token_privileges(
    _ token: OpaquePointer?, _ present: UnsafeMutablePointer<UInt64>?,
    _ enabled: UnsafeMutablePointer<UInt64>?
) -> CInt {
    outcome {
        let token = try description(token)
        present?.pointee = PrivilegeSet(token.privileges).bits
        enabled?.pointee = PrivilegeSet(token.enabledPrivileges).bits
        return 0
    }
}

@c @implementation
public func guise_privilege_name(
    _ number: CInt, _ text: UnsafeMutablePointer<CChar>?, _ size: Int
) -> CInt {
    outcome {
        guard let privilege = UInt32(exactly: number).flatMap(Privilege.init(rawValue:)) else {
            throw Failure(ENOENT, "no privilege has the number \(number)")
        }
        return try write(privilege.name, to: text, size)
    }
}

private func description(_ token: OpaquePointer?) throws(Failure) -> TokenDescription {
    try Handles.tokens.object(token).description
}

private func name(_ principal: TokenDescription.Principal) throws(Failure) -> String {
    guard let name = principal.name else { throw Failure(ENOENT, "nobody knows a name for \(principal.sid)") }
    return name
}
