import AccessControl
import CGuise
import Glibc
import Synchronization

/// A service that `guise run` started, with the processes it made: everything that traps to one listener.
package final class MediatedService: Sendable {
    /// The account's name, for people.
    package let name: String
    /// The token of every process of the service while it does not impersonate, and its Unix user.
    package let logon: Logon
    let listener: Int32

    private let attachments = Mutex<[Attachment]>([])
    private let ended = Atomic(false)

    init(name: String, logon: Logon, listener: Int32) {
        self.name = name
        self.logon = logon
        self.listener = listener
    }

    deinit { CGuise.close(listener) }

    /// True once the last process of the service is gone.
    var hasEnded: Bool { ended.load(ordering: .acquiring) }

    func end() { ended.store(true, ordering: .releasing) }

    func add(_ attachment: Attachment) { attachments.withLock { $0.append(attachment) } }

    func remove(_ attachment: Attachment) { attachments.withLock { $0.removeAll { $0 === attachment } } }

    func attachment(of pid: Int32) -> Attachment? { attachments.withLock { $0.first { $0.pid == pid } } }

    /// Whose rights decide for a thread that waits in a trap.
    func identity(ofThread tid: Int32) -> EffectiveIdentity {
        let candidates = attachments.withLock { $0 }
        for attachment in candidates {
            if let identity = attachment.identity(ofThread: tid) { return identity }
        }
        return .process
    }
}
