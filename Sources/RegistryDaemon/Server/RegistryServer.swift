import AccessControl
import Foundation
package import Guise
import RegistryModel
import RegistryProtocol
import Synchronization

/// Answers clients over a socket, each on a thread of its own, and each as whom the authority says it is.
package final class RegistryServer: Sendable {
    /// How many clients there may be.
    package struct Limits: Sendable {
        /// Connections of one user.
        package var connectionsOfUser = 256
        /// All connections, and how many more for administrators alone: who floods the registry does not keep them out.
        package var connections = 2048
        package var connectionsOfAdministrators = 64
        /// How long a client may leave answers unread, in seconds.
        package var patience = 5
        /// What one connection may hold.
        package var session = RegistrySession.Limits()

        package init() {}
    }

    private struct State {
        var count = 0
        var byUser: [SID: (count: Int, share: UserShare)] = [:]
    }

    private let engine: RegistryEngine
    private let limits: Limits
    private let state = Mutex(State())

    package init(_ engine: RegistryEngine, limits: Limits = Limits()) {
        (self.engine, self.limits) = (engine, limits)
    }

    /// Accepts clients until the listener fails.
    ///
    /// - Throws: why it failed; without the authority nobody is served.
    package func run(on listener: Listener) throws(GuiseError) {
        while true {
            let connection: Connection
            do throws(GuiseError) { connection = try listener.accept() } catch {
                switch error {
                case .peerGone, .accessDenied, .notAServerConnection, .limitReached: continue
                // Out of descriptors for now: those who are there go on.
                case .system(_, EMFILE), .system(_, ENFILE), .system(_, ENOMEM), .system(_, ENOBUFS):
                    usleep(50_000)
                    continue
                default: throw error
                }
            }
            let isTaken = state.withLock { state in
                guard state.count < limits.connections + limits.connectionsOfAdministrators else {
                    return false
                }
                state.count += 1
                return true
            }
            guard isTaken else {
                // Whoever is told has sent nothing yet, and need not be waited for.
                Self.refuse(connection, Self.tooMany)
                continue
            }
            let thread = Thread { [self] in
                serve(connection)
                state.withLock { $0.count -= 1 }
            }
            // Trees are walked 512 keys deep.
            thread.stackSize = 2 << 20
            thread.start()
        }
    }

    private static let tooMany = RegistryError.limitReached("the registry has too many clients; try again")

    /// Tells why there are no answers, in place of the first one.
    private static func refuse(_ connection: Connection, _ error: RegistryError) {
        let answer = WireRegistryAnswer.with { $0.refused = WireRegistryRefusal(error) }
        try? RegistryFrames.send(answer, on: connection.fileDescriptor.rawValue)
    }

    private func serve(_ connection: Connection) {
        let socket = connection.fileDescriptor.rawValue
        var limit = timeval(tv_sec: limits.patience, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        do throws(RegistryError) {
            let identity = try ClientIdentity(connection)
            let user = identity.token.user
            let share = try enter(identity.token)
            defer { leave(user) }
            converse(connection, identity, share)
        } catch { Self.refuse(connection, error) }
    }

    private func enter(_ token: Token) throws(RegistryError) -> UserShare {
        let user = token.user
        return try state.withLock { state throws(RegistryError) in
            // This one is counted.
            guard state.count <= limits.connections || token.isAdministrator else { throw Self.tooMany }
            guard state.byUser[user]?.count ?? 0 < limits.connectionsOfUser else {
                throw .limitReached(
                    "\(user) has \(limits.connectionsOfUser) connections to the registry; end some of those programs"
                )
            }
            state.byUser[user, default: (0, UserShare())].count += 1
            return state.byUser[user]!.share
        }
    }

    private func leave(_ user: SID) {
        state.withLock { state in
            state.byUser[user]?.count -= 1
            if state.byUser[user]?.count == 0 { state.byUser[user] = nil }
        }
    }

    private func converse(_ connection: Connection, _ identity: ClientIdentity, _ share: UserShare) {
        let socket = connection.fileDescriptor.rawValue
        // Answers and events come from two threads.
        let sending = Sending()
        let events = EventQueue { watch, kinds in
            let event = WireRegistryAnswer.with {
                $0.event.watch = watch
                $0.event.kinds = kinds.rawValue
            }
            // The socket lives at least as long: the connection is held here.
            return sending.send(event, on: connection)
        }
        defer { events.end() }
        let session = RegistrySession(engine, limits: limits.session, share: share)
        defer { session.end() }
        let requests = RegistryRequests(
            session, caller: { identity.caller }, tell: { events.add($0, $1) },
            settle: { events.settle($0, isOver: $1) })
        let frames = RegistryFrames(socket)
        // The longest is the setting of a value, or the making of a key with a long path and descriptor.
        let longest = engine.limits.value + (512 << 10)
        while true {
            let answer: WireRegistryAnswer?
            do throws(RegistryFrames.Failure) {
                answer = requests.answer(try frames.receive(WireRegistryRequest.self, upTo: longest))
            } catch {
                guard case .tooLong(let number) = error else { return }
                answer = .with {
                    $0.id = number
                    $0.refused = WireRegistryRefusal(
                        .valueTooLarge(
                            "a value has at most \(engine.limits.value) bytes; keep it in a file, and the file's"
                                + " path here"))
                }
            }
            guard let answer else { continue }
            guard sending.send(answer, on: connection) else { return }
        }
    }

    /// Has messages go out whole.
    private final class Sending: Sendable {
        private let lock = Mutex(())

        func send(_ answer: WireRegistryAnswer, on connection: Connection) -> Bool {
            lock.withLock { _ in
                do throws(RegistryFrames.Failure) {
                    try RegistryFrames.send(answer, on: connection.fileDescriptor.rawValue)
                    return true
                } catch {
                    // Half a message may have gone out: there is no going on.
                    shutdown(connection.fileDescriptor.rawValue, Int32(SHUT_RDWR))
                    return false
                }
            }
        }
    }
}
