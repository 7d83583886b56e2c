import CGuise
import Glibc
import Synchronization

/// Every attached process and every mediated service.
package final class ProcessDirectory: Sendable {
    private struct State {
        var attachments: [UInt64: Attachment] = [:]
        var services: [Int32: MediatedService] = [:]
        var members: [UInt64: Member] = [:]
        var sweepAt = 1024
        var tokens: [UInt64: Changed] = [:]
        var tokensSweepAt = 1024
        /// By user, in bytes.
        var pageMemory: [UInt32: Int] = [:]
    }
    private struct Member {
        let pid: Int32
        let service: MediatedService
    }
    /// A process that nobody mediates, and what its own token has become.
    private struct Changed {
        let pid: Int32
        let token: ProcessToken
    }
    private let state = Mutex(State())

    package init() {}

    func add(_ service: MediatedService) { state.withLock { $0.services[service.listener] = service } }

    func remove(_ service: MediatedService) {
        state.withLock { state in
            state.services[service.listener] = nil
            state.members = state.members.filter { $0.value.service !== service }
        }
        release(service.releaseDetached())
    }

    func service(listener: Int32) -> MediatedService? { state.withLock { $0.services[listener] } }

    /// Remembers the process of a thread that waits in a trap. A process attaches by way of a connect, which
    /// traps, so every mediated process that attaches was seen here before.
    ///
    /// - Parameter identity: of the process that had the pid while the thread was known to wait.
    func admit(_ pid: Int32, _ identity: UInt64, to service: MediatedService) {
        guard identity != 0 else { return }
        state.withLock { state in
            state.members[identity] = Member(pid: pid, service: service)
            guard state.members.count >= state.sweepAt else { return }
            state.members = state.members.filter { Self.identity(of: $0.value.pid) == $0.key }
            state.sweepAt = max(1024, 2 * state.members.count)
        }
    }

    /// The service that a process belongs to, by the identity of its pidfd.
    func service(of identity: UInt64) -> MediatedService? {
        identity == 0 ? nil : state.withLock { $0.members[identity]?.service }
    }

    /// Remembers what the token of a process has become, for as long as the process lives: what it gave up does not come
    /// back with another connection. A mediated one has its service's anyway.
    func keepToken(of attachment: Attachment) {
        guard attachment.service == nil else { return }
        state.withLock { state in
            state.tokens[attachment.identity] = Changed(pid: attachment.pid, token: attachment.primary)
            guard state.tokens.count >= state.tokensSweepAt else { return }
            state.tokens = state.tokens.filter { Self.identity(of: $0.value.pid) == $0.key }
            state.tokensSweepAt = max(1024, 2 * state.tokens.count)
        }
    }

    /// The token that a process starts with when it attaches; nil: the one of whoever has its credentials.
    ///
    /// - Parameter user: its uid now. Of another user's the token is none any more.
    func token(of identity: UInt64, user: UInt32) -> ProcessToken? {
        guard identity != 0 else { return nil }
        return state.withLock { state in
            if let service = state.members[identity]?.service { return service.primary }
            return state.tokens[identity].map(\.token).flatMap { $0.logon.credentials.uid == user ? $0 : nil }
        }
    }

    /// The logon of a process: what it is attached as, or what ``token(of:user:)`` says.
    func logon(of identity: UInt64, user: UInt32) -> Logon? {
        attachment(of: identity)?.logon ?? token(of: identity, user: user)?.logon
    }

    /// Whether a token is some process's own.
    func have(_ token: TokenObject) -> Bool {
        state.withLock { state in
            state.attachments.values.contains { $0.primary.current === token }
                || state.services.values.contains { $0.primary.current === token }
        }
    }

    /// The identity of the process that has the pid now; 0 when there is none.
    static func identity(of pid: Int32) -> UInt64 {
        let descriptor = guise_pidfd_open(pid, false)
        guard descriptor >= 0 else { return 0 }
        defer { CGuise.close(descriptor) }
        return guise_pidfd_identity(descriptor)
    }

    /// The authority's own process.
    static let own = identity(of: getpid())

    /// The most memory, in bytes, that one user's identity pages may take.
    static let largestPageMemoryPerUser = 512 << 20

    func add(_ attachment: Attachment) throws(Refused) {
        let user = attachment.logon.credentials.uid
        let refusal = state.withLock { state -> Refused? in
            guard state.attachments[attachment.identity] == nil else {
                return Refused(.alreadyAttached, "process \(attachment.pid) is attached already")
            }
            guard state.pageMemory[user, default: 0] + attachment.pageSize <= Self.largestPageMemoryPerUser
            else {
                return Refused(
                    .limit,
                    "the identity pages of user \(user) take too much memory; attach for fewer threads")
            }
            state.pageMemory[user, default: 0] += attachment.pageSize
            state.attachments[attachment.identity] = attachment
            return nil
        }
        if let refusal { throw refusal }
        do throws(Refused) {
            try attachment.service?.add(attachment)
        } catch {
            state.withLock { $0.attachments[attachment.identity] = nil }
            release([attachment])
            throw error
        }
    }

    func remove(_ attachment: Attachment) {
        attachment.detach()
        state.withLock { $0.attachments[attachment.identity] = nil }
        release(attachment.service?.retire(attachment) ?? [attachment])
    }

    /// Gives back what attachments took of their users' memory.
    private func release(_ gone: [Attachment]) {
        state.withLock { state in
            for attachment in gone {
                let user = attachment.logon.credentials.uid
                state.pageMemory[user, default: 0] -= attachment.pageSize
                if state.pageMemory[user] == 0 { state.pageMemory[user] = nil }
            }
        }
    }

    func attachment(of identity: UInt64) -> Attachment? { state.withLock { $0.attachments[identity] } }
}
