public import AccessControl
import Foundation
public import Guise
import Synchronization

extension DDE {
    /// A service that is there to be conversed with, until it is closed or goes away (`DdeNameService`).
    public final class Service: Sendable {
        private let server: NamedPipe.Server
        private let topics: Set<String>
        private let handler: any Handler
        private let state = Mutex(State())

        private struct State {
            var conversations: [ObjectIdentifier: Conversation] = [:]
            var isClosed = false
        }

        /// Starts serving, on threads of its own: one, and one for each conversation.
        ///
        /// - Parameters:
        ///   - name: of the service; the pipe is `NAME/dde`. A service account's name is that account's.
        ///   - topics: what can be talked about; compared without regard to case.
        ///   - securityDescriptor: of the pipe: who may read and write it may converse. nil: who is logged on
        ///     (Authenticated Users), and full access for SYSTEM, administrators and the owner.
        ///   - largestConversationCount: 1 to 254 at once; more wait for one to end.
        ///   - authority: nil for ``Authority/current``.
        /// - Throws: ``DDEError/invalid(_:)``, ``DDEError/transport(_:)``.
        public init(
            name: String, topics: [String], handler: any Handler,
            securityDescriptor: SecurityDescriptor? = nil,
            largestConversationCount: Int = 64, authority: Authority? = nil
        ) throws(DDEError) {
            for topic in topics { try DDE.check(topic, "a topic") }
            self.topics = Set(topics.map { $0.lowercased() })
            self.handler = handler
            do {
                server = try NamedPipe.Server(
                    name: try DDE.pipe(name), mode: .message, maximumInstances: largestConversationCount,
                    securityDescriptor: try securityDescriptor ?? Self.descriptor, isFirst: true,
                    authority: authority)
            } catch let error as GuiseError {
                throw .transport(error)
            } catch let error as DDEError {
                throw error
            } catch {
                throw .invalid("\(error)")
            }
            let server = server
            Thread.detachNewThread { [weak self] in
                while let connection = Self.next(server) {
                    guard let self else { return }
                    self.converse(on: connection)
                }
            }
        }

        deinit { close() }

        private static var descriptor: SecurityDescriptor {
            get throws {
                try SecurityDescriptor(sddl: "D:(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;OW)(A;;0x12019b;;;AU)")
            }
        }

        /// nil when there is nothing more to come. Where a client cannot be taken, as without descriptors, the next one
        /// may be.
        private static func next(_ server: NamedPipe.Server) -> Connection? {
            while true {
                do throws(GuiseError) {
                    return try server.accept()
                } catch {
                    switch error {
                    case .closed, .authorityLost: return nil
                    default: Thread.sleep(forTimeInterval: 0.1)
                    }
                }
            }
        }

        private func converse(on connection: Connection) {
            let conversation: Conversation
            do {
                conversation = try Conversation(connection, topics: topics, handler: handler)
            } catch { return }
            let isTaken = state.withLock { state in
                if !state.isClosed { state.conversations[ObjectIdentifier(conversation)] = conversation }
                return !state.isClosed
            }
            guard isTaken else { return conversation.terminate() }
            Thread.detachNewThread { [weak self] in
                conversation.run()
                self?.state.withLock {
                    _ = $0.conversations.removeValue(forKey: ObjectIdentifier(conversation))
                }
            }
        }

        /// Tells those who asked for it that an item has changed (`DdePostAdvise`): on hot links what it is now, which
        /// the handler is asked for as each of the clients. Changes that follow one another quickly are told as one.
        public func post(_ item: String, of topic: String) {
            for conversation in state.withLock({ Array($0.conversations.values) }) {
                conversation.note(item, of: topic)
            }
        }

        /// How many conversations there are.
        public var conversationCount: Int { state.withLock { $0.conversations.count } }

        /// Ends all conversations, and takes no more.
        public func close() {
            server.close()
            let ended = state.withLock { state in
                state.isClosed = true
                return Array(state.conversations.values)
            }
            for conversation in ended { conversation.terminate() }
        }
    }
}
