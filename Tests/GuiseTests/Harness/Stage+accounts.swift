import CGuise
import Foundation
import GuiseProtocol
import Synchronization

/// Unix users that nobody else has, across the tests that run at the same time.
enum FreshUsers {
    private static let next = Atomic<UInt32>(1_000_000 + UInt32(getpid() % 50_000) * 20_000)

    static func take(_ count: UInt32 = 1) -> UInt32 { next.add(count, ordering: .relaxed).oldValue }
}

extension Stage {
    /// Adds a user's account.
    ///
    /// - Parameter uid: of the machine's own, where a test needs one that has a name; nil for a fresh one.
    func user(_ name: String, uid: UInt32? = nil) throws -> Person { try account(name, .user, uid: uid) }

    /// Adds a service's account.
    func service(
        _ name: String, uid: UInt32? = nil, privileges: [String] = ["SeImpersonatePrivilege"]
    ) throws -> Person {
        try account(name, .service, privileges, uid: uid)
    }

    /// Adds a group.
    func group(_ name: String) throws -> Person {
        guard
            case .account(let added) = try ask(
                .accountAdd(
                    .with {
                        $0.account.name = name
                        $0.account.kind = .group
                    }))
        else { throw HarnessError("account add: \(name)") }
        return Person(name: name, uid: 0, sid: added.sid)
    }

    /// A user of the machine who has no account.
    func stranger() -> Person {
        let uid = FreshUsers.take()
        return Person(name: "uid \(uid)", uid: uid, sid: "S-1-22-1-\(uid)")
    }

    private func account(
        _ name: String, _ kind: WireAccountKind, _ privileges: [String] = [], uid: UInt32?
    ) throws -> Person {
        let uid = uid ?? FreshUsers.take()
        let answer = try ask(
            .accountAdd(
                .with {
                    $0.account.name = name
                    $0.account.kind = kind
                    $0.account.unixID = uid
                    $0.account.unixGroup = uid
                    $0.account.privileges = privileges
                }))
        guard case .account(let added) = answer else { throw HarnessError("account add: \(answer)") }
        return Person(name: name, uid: uid, sid: added.sid)
    }

    // MARK: Files

    /// Makes a folder in a Unix place; an absolute path below the stage.
    @discardableResult
    func folder(_ name: String, of owner: Person? = nil, mode: mode_t = 0o755) -> String {
        let path = directory + "/" + name
        mkdir(path, mode)
        chmod(path, mode)
        if let owner { chown(path, owner.uid, owner.uid) }
        return path
    }

    /// Makes a file in a Unix place.
    @discardableResult
    func file(_ name: String, _ content: String, of owner: Person? = nil, mode: mode_t = 0o600) throws
        -> String
    {
        let path = name.hasPrefix("/") ? name : directory + "/" + name
        try content.write(toFile: path, atomically: false, encoding: .utf8)
        chmod(path, mode)
        if let owner { chown(path, owner.uid, owner.uid) }
        return path
    }

    /// Makes a managed root. The SDDL may name people as `{alice}`.
    @discardableResult
    func root(_ name: String, _ sddl: String, for people: Person...) throws -> String {
        let path = folder(name, mode: 0o700)
        try ask(
            .rootAdd(
                .with {
                    $0.path = path; $0.sddl = Self.fill(sddl, people)
                }))
        return path
    }

    /// Makes a file under a managed root, as root does it by hand, and gives it a descriptor.
    @discardableResult
    func managedFile(_ path: String, _ content: String, _ sddl: String, for people: Person...) throws
        -> String
    {
        try content.write(toFile: path, atomically: false, encoding: .utf8)
        chmod(path, 0o600)
        try describe(path, Self.fill(sddl, people))
        return path
    }

    /// Makes a folder under a managed root.
    @discardableResult
    func managedFolder(_ path: String, _ sddl: String, for people: Person...) throws -> String {
        mkdir(path, 0o700)
        try describe(path, Self.fill(sddl, people))
        return path
    }

    /// Sets an object's security descriptor.
    func describe(_ path: String, _ sddl: String) throws {
        try ask(
            .descriptorSet(
                .with {
                    $0.path = path; $0.sddl = sddl
                }))
    }

    static func fill(_ sddl: String, _ people: [Person]) -> String {
        people.reduce(sddl) { $0.replacing("{\($1.name)}", with: $1.sid) }
    }
}
