import AccessControl
import Foundation
import Synchronization

/// What something is, was and may already be: whoever changes it while others look cannot say what they will have seen.
final class Changing<Value: Sendable>: Sendable {
    private struct Version {
        let value: Value
        let since: ContinuousClock.Instant
        var until: ContinuousClock.Instant?
    }
    private let versions: Mutex<[Version]>

    init(_ value: Value) { versions = Mutex([Version(value: value, since: .now)]) }

    /// A change begins: from now on it may be in force.
    func begin(_ value: Value) { versions.withLock { $0.append(Version(value: value, since: .now)) } }

    /// The last change is in force, and what was before is not.
    func end() {
        versions.withLock { versions in
            let now = ContinuousClock.now
            for index in versions.indices.dropLast() where versions[index].until == nil {
                versions[index].until = now
            }
            versions.removeAll { $0.until.map { now - $0 > .seconds(120) } == true }
        }
    }

    /// Everything that it may have been at some moment since then.
    func values(since start: ContinuousClock.Instant) -> [Value] {
        versions.withLock { $0.filter { $0.until.map { $0 >= start } ?? true }.map(\.value) }
    }
}

/// A client of the soak: a Unix user with an account, whose groups and integrity level change.
final class SoakPerson: Sendable {
    struct Standing: Sendable {
        var groups: Set<Int> = []
        var isLow = false
    }
    let person: Person
    let standing = Changing(Standing())

    init(_ person: Person) { self.person = person }

    /// The token that a capture under a standing gets.
    func token(_ standing: Standing, groups: [Person]) throws -> Token {
        try .soak(
            user: person, integrity: standing.isLow ? .low : .medium,
            groups: standing.groups.map { groups[$0] })
    }
}

extension Token {
    static func soak(user: Person, integrity: IntegrityLevel, groups: [Person] = []) throws -> Token {
        func sid(_ person: Person) throws -> SID {
            guard let sid = SID(person.sid) else { throw HarnessError("no SID: \(person)") }
            return sid
        }
        var fields = Token.Fields(user: try sid(user), integrity: integrity, logonSession: 1)
        fields.groups = [.everyone, .authenticatedUsers, .users].map { Token.Group($0) }
        fields.groups += try groups.map { Token.Group(try sid($0)) }
        fields.privileges = Token.Privileges(present: [.changeNotify], enabled: [.changeNotify])
        return try Token(fields)
    }
}

/// A file of the soak, and what it asks for.
final class SoakFile: Sendable {
    enum Access: Int, CaseIterable {
        case read, write, append, look

        /// As the command has it.
        var word: String {
            switch self {
            case .read: "\(O_RDONLY)"
            case .write: "\(O_WRONLY)"
            case .append: "\(O_WRONLY | O_APPEND)"
            case .look: "stat"
            }
        }
        var rights: AccessMask<FileKind> {
            switch self {
            case .read: [.readData, .readAttributes]
            case .write: [.writeData, .readAttributes]
            case .append: [.appendData, .readAttributes]
            case .look: .readAttributes
            }
        }
    }

    let path: String
    let isManaged: Bool
    /// In a Unix place.
    let owner: UInt32
    let mode: UInt32
    /// nil: it has none.
    let descriptor: Changing<SecurityDescriptor>?

    init(
        _ path: String, isManaged: Bool, owner: UInt32 = 0, mode: UInt32 = 0,
        descriptor: SecurityDescriptor?
    ) {
        (self.path, self.isManaged, self.owner, self.mode) = (path, isManaged, owner, mode)
        self.descriptor = descriptor.map { Changing($0) }
    }

    /// What the model says, for each descriptor that may have been in force.
    func answers(_ access: Access, _ token: Token, uid: UInt32, since start: ContinuousClock.Instant) -> Set<
        Bool
    > {
        guard isManaged || modeAllows(access, uid) else { return [false] }
        guard let descriptor else { return [true] }
        return Set(
            descriptor.values(since: start).map {
                (try? AccessCheck<FileKind>.decide($0, token: token, desired: access.rights))?.isAllowed
                    == true
            })
    }

    /// As the kernel decides for whoever is in one group, of the user's number.
    func modeAllows(_ access: Access, _ uid: UInt32) -> Bool {
        let bit: UInt32 =
            switch access {
            case .read: 4
            case .write, .append: 2
            case .look: 0
            }
        return (uid == owner ? mode >> 6 : mode) & bit == bit
    }
}

/// A descriptor made up: a few entries for people, groups, everybody and nobody.
func soakDescriptor(_ random: inout Repeatable, subjects: [String]) -> String {
    let rights: [UInt32] = [0x1, 0x2, 0x4, 0x80, 0x81, 0x82, 0x84, 0x87, 0x12_0089, 0x12_0116, 0x1F_01FF]
    func one<Element>(_ list: [Element]) -> Element { list[Int(random.next() % UInt64(list.count))] }
    let owner = one(subjects)
    let entries = (0..<Int(random.next() % 6)).map { _ in
        let kind = random.next() % 4 == 0 ? "D" : "A"
        return "(\(kind);;0x\(String(one(rights), radix: 16));;;\(one(subjects + ["WD", "AN"])))"
    }
    return "O:\(owner)G:SYD:\(entries.joined())S:(ML;;\(one(["NW", "NWNR"]));;;\(one(["LW", "ME", "HI"])))"
}
