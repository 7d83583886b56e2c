package import AccessControl

/// Something that goes on record: who was allowed or refused what, by which rule, or what was changed by whom.
///
/// A field that does not apply is nil. What the fields are called on record is in docs/audit.md.
package struct AuditEvent: Sendable {
    /// What happened.
    package enum Kind: String, CaseIterable, Sendable {
        /// The authority runs from here on.
        case authorityStarted = "authority-started"
        /// The authority ends in good order. Without one before the next start it was killed.
        case authorityStopped = "authority-stopped"
        case serviceStarted = "service-started"
        case serviceEnded = "service-ended"
        /// A process may act as a client from now on.
        case impersonation
        case impersonationRefused = "impersonation-refused"
        /// A thread was connected to a server as whom it acts as.
        case connection
        /// A call or a request was refused.
        case accessDenied = "access-denied"
        /// An audit entry of an object's SACL asked for the record.
        case accessAudited = "access-audited"
        /// A privilege made the difference.
        case privilegeUsed = "privilege-used"
        case logon
        case logonFailed = "logon-failed"
        /// Somebody ended a logon session.
        case sessionEnded = "session-ended"
        case accountChanged = "account-changed"
        case rootChanged = "root-changed"
        case descriptorChanged = "descriptor-changed"
        /// An issuer or a mapping rule was added or removed.
        case mappingChanged = "mapping-changed"
        /// A managed root is not to be used.
        case rootUnavailable = "root-unavailable"
        /// Events that there was no room for.
        case eventsLost = "events-lost"
    }

    package var kind: Kind
    /// Milliseconds since 1970, UTC; set when the event is recorded.
    package var time: UInt64 = 0
    /// The mediated service whose process it is.
    package var service: String?
    package var process: Int32?
    package var thread: Int32?
    /// For whom it was decided, or who was captured.
    package var user: SID?
    package var level: ImpersonationLevel?
    /// The process of the client; never that of one at level Anonymous.
    package var client: Int32?
    /// Who asked the authority: the token of the process itself.
    package var by: SID?
    /// The system call, or the request of the control protocol.
    package var call: String?
    /// As the caller spelled it, from the root directory where that is known. Any bytes.
    package var path: [UInt8]?
    /// The second path of a call that has two.
    package var target: [UInt8]?
    /// The object that was decided about, by the kernel's name. Any bytes.
    package var object: [UInt8]?
    package var wanted: AccessMask<FileKind>?
    /// Of what was wanted, what is missing.
    package var refused: AccessMask<FileKind>?
    package var granted: AccessMask<FileKind>?
    /// Whether the access was granted, where the record is about either.
    package var isSuccess: Bool?
    /// By which rule it was refused, one sentence.
    package var rule: String?
    package var privileges = PrivilegeSet()
    /// What was changed, for people.
    package var change: String?
    /// How many events like this one the record stands for. The first of them gave thread and client.
    package var count: UInt64 = 1
    /// When the last of them was recorded.
    package var until: UInt64 = 0
    /// Who has lost how many events of which kind.
    package var lost: AuditLosses = [:]

    /// Makes an event, to be filled in.
    package init(_ kind: Kind, process: Int32? = nil) { (self.kind, self.process) = (kind, process) }
}

/// By service, or by SID where there is none: how many events of each kind.
package typealias AuditLosses = [String: [AuditEvent.Kind: UInt64]]

extension AuditEvent {
    /// Whose share of the room it takes: the service's, or the user's whose process asked.
    var payer: String { service ?? by?.description ?? "-" }

    /// What events have in common that one record may stand for.
    struct Likeness: Hashable {
        let kind: Kind
        let process: Int32?
        let user: SID?
        let level: ImpersonationLevel?
        let by: SID?
        let call: String?
        let path: [UInt8]?
        let target: [UInt8]?
        let object: [UInt8]?
        let wanted: AccessMask<FileKind>?
        let isSuccess: Bool?
        let rule: String?
        let privileges: PrivilegeSet
        let change: String?
    }

    var likeness: Likeness {
        Likeness(
            kind: kind, process: process, user: user, level: level, by: by, call: call, path: path,
            target: target, object: object, wanted: wanted, isSuccess: isSuccess, rule: rule,
            privileges: privileges, change: change)
    }

    /// The most bytes of a path, and of a sentence: a caller makes them as long as it likes.
    private static let longestPath = 8193
    private static let longestText = 4096

    /// Cuts what is longer than anybody reads.
    mutating func shorten() {
        func cut(_ bytes: inout [UInt8]?) {
            if let long = bytes, long.count > Self.longestPath {
                bytes = Array(long.prefix(Self.longestPath))
            }
        }
        func cut(_ text: inout String?) {
            guard let long = text, long.utf8.count > Self.longestText else { return }
            text = String(decoding: long.utf8.prefix(Self.longestText), as: UTF8.self) + "…"
        }
        cut(&path)
        cut(&target)
        cut(&object)
        cut(&rule)
        cut(&change)
    }

    /// About how many bytes it takes in memory.
    var size: Int {
        512 + (path?.count ?? 0) + (target?.count ?? 0) + (object?.count ?? 0) + (rule?.utf8.count ?? 0)
            + (change?.utf8.count ?? 0)
    }
}
