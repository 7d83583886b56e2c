import CGuise
import Foundation
import Guise
import GuiseProtocol

extension Stage {
    /// Sets a user's password, as root.
    func setPassword(_ name: String, _ password: String) throws {
        try sending(password, .passwordSet(.with { $0.account = name }))
    }

    func removePassword(_ name: String) throws { try ask(.passwordSet(.with { $0.account = name })) }

    /// Logs on as root, on a connection that ends with this.
    func tryLogon(_ name: String, _ password: String, _ type: WireLogonType = .network) throws {
        try sending(
            password,
            .logonUser(
                .with {
                    $0.account = name
                    $0.type = type
                }))
    }

    private func sending(_ password: String, _ body: WireRequest.OneOf_Body) throws {
        let client = try AuthorityClient(runtimeDirectory: runtime)
        _ = try Array(password.utf8).withUnsafeBytes { bytes in
            Result { () throws(GuiseError) in try client.call(body, secret: bytes) }
        }.get()
    }

    /// Adds a user's account that has no Unix user, as root.
    func userWithoutUnixUser(_ name: String) throws -> Person {
        guard
            case .account(let added) = try ask(
                .accountAdd(
                    .with {
                        $0.account.name = name
                        $0.account.kind = .user
                    }))
        else { throw HarnessError("account add") }
        return Person(name: name, uid: 65534, sid: added.sid)
    }

    /// The numbers of the sessions that are alive.
    var sessions: Set<UInt64> {
        get throws {
            guard case .sessions(let list) = try ask(.sessions(.init())) else {
                throw HarnessError("sessions")
            }
            return Set(list.sessions.map(\.id))
        }
    }
}

/// The case of the error that `body` throws; nil when it throws none.
func thrown(by body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch {
        return Mirror(reflecting: error).children.first?.label ?? "\(type(of: error))"
    }
}
