import AccessControl
import CGuise
import Glibc
import Synchronization

/// A service that `guise run` started, with the processes it made: everything that traps to one listener.
package final class MediatedService: Sendable {
    /// The account's name, for people.
    package let name: String
    /// The same without what stands before the backslash, for the audit.
    let accountName: String
    /// The token of every process of the service while it does not impersonate, and its Unix user.
    package var logon: Logon { primary.logon }
    /// That token, which every process of the service has.
    let primary: ProcessToken
    let listener: Int32
    let workingDirectories: WorkingDirectories

    private let attachments = Mutex<[Attachment]>([])
    private let ended = Atomic(false)

    init(name: String, logon: Logon, listener: Int32) {
        self.name = name
        accountName = name.split(separator: "\\").last.map(String.init) ?? name
        primary = ProcessToken(logon)
        self.listener = listener
        workingDirectories = WorkingDirectories(of: logon.credentials)
    }

    deinit { CGuise.close(listener) }

    /// True once the last process of the service is gone.
    var hasEnded: Bool { ended.load(ordering: .acquiring) }

    func end() {
        ended.store(true, ordering: .releasing)
        workingDirectories.end()
    }

    /// How often a process may lose its connection to the authority and attach again.
    static let largestDetachedCount = 4

    func add(_ attachment: Attachment) throws(Refused) {
        let mayAttach = attachments.withLock { attachments in
            let lost = attachments.count { $0.identity == attachment.identity && $0.isDetached }
            guard lost < Self.largestDetachedCount else { return false }
            attachments.append(attachment)
            return true
        }
        guard mayAttach else {
            throw Refused(.limit, "process \(attachment.pid) lost its connection too often; restart it")
        }
    }

    /// Keeps a detached attachment for as long as its process lives: a thread that still acts under it must not
    /// be taken for one that does not impersonate. Returns those that are not needed any more.
    func retire(_ attachment: Attachment) -> [Attachment] {
        attachments.withLock { attachments in
            let gone = attachments.filter {
                $0 === attachment && hasEnded || $0.isDetached && $0.processHasEnded
            }
            attachments.removeAll { one in gone.contains { $0 === one } }
            return gone
        }
    }

    /// The service has ended: returns what was kept.
    func releaseDetached() -> [Attachment] {
        attachments.withLock { attachments in
            let detached = attachments.filter(\.isDetached)
            attachments.removeAll(where: \.isDetached)
            return detached
        }
    }

    func attachment(of pid: Int32) -> Attachment? {
        attachments.withLock { $0.first { $0.pid == pid && !$0.isDetached } }
    }

    /// Whose rights decide for a thread that waits in a trap.
    func identity(ofThread tid: Int32) -> EffectiveIdentity {
        let candidates = attachments.withLock { $0 }
        for attachment in candidates {
            switch attachment.identity(ofThread: tid) {
            // A process may claim what it likes of another's thread in its own page; what counts is who owns it.
            case .process([]), nil: continue
            case let found?: return found
            }
        }
        return .process([])
    }
}
