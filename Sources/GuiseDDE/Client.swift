public import AccessControl
import Dispatch
import Foundation
import Guise
import Synchronization

extension DDE {
    /// The client's side of a conversation, from ``initiate(_:topic:quality:timeout:server:runtimeDirectory:)`` until it is let
    /// go of or terminated. Safe from any task.
    public final class Client: Sendable {
        private let connection: Connection
        private let state = Mutex(State())

        private struct State {
            var last: UInt64 = 0
            var pending: [UInt64: CheckedContinuation<WireExchange, any Error>] = [:]
            var links: [UInt64: (updates: AsyncStream<Value?>.Continuation, isWarm: Bool)] = [:]
            var isOver = false
        }

        private init(_ connection: Connection) { self.connection = connection }

        deinit { connection.disconnect() }

        /// Starts a conversation (`DdeConnect`).
        ///
        /// - Parameters:
        ///   - service: its name.
        ///   - topic: what about.
        ///   - quality: what the service may do with the caller's identity. Below Impersonation most services do nothing.
        ///   - timeout: how long to wait for a place, and for the answer.
        ///   - server: the user that the service has to run as; nil: anybody.
        /// - Throws: ``DDEError/noSuchTopic(_:)``, ``DDEError/timedOut(_:)``, ``DDEError/transport(_:)``.
        public static func initiate(
            _ service: String, topic: String, quality: SecurityQualityOfService = SecurityQualityOfService(),
            timeout: Duration = .seconds(5), server: SID? = nil, runtimeDirectory: String? = nil
        ) async throws -> Client {
            try DDE.check(topic, "a topic")
            let connection: Connection
            do {
                connection = try NamedPipe.connect(
                    to: try DDE.pipe(service), quality: quality, timeout: timeout, server: server,
                    runtimeDirectory: runtimeDirectory)
            } catch let error as GuiseError { throw DDEError.transport(error) }
            var limit = timeval(tv_sec: 5, tv_usec: 0)
            setsockopt(
                connection.fileDescriptor.rawValue, SOL_SOCKET, SO_SNDTIMEO, &limit,
                socklen_t(MemoryLayout<timeval>.size))
            let client = Client(connection)
            Thread.detachNewThread { [weak client] in
                while let exchange = Self.next(connection) {
                    guard let client else { return }
                    client.take(exchange)
                }
                client?.finish()
            }
            try await client.acknowledged(timeout) { $0.initiate = topic }
            return client
        }

        /// Asks for an item (`XTYP_REQUEST`).
        ///
        /// - Throws: ``DDEError/notProcessed(_:)``, ``DDEError/denied(_:)``, ``DDEError/timedOut(_:)``,
        ///   ``DDEError/terminated(_:)``.
        public func request(
            _ item: String, format: String = DDE.plainText, timeout: Duration = .seconds(5)
        ) async throws -> Value {
            try DDE.check(item, "an item")
            try DDE.check(format: format)
            let answer = try await transact(timeout) {
                $0.request.item = item
                $0.request.content.format = format
            }
            switch answer.body {
            case .content(let content): return Value(content)
            case .acknowledge(let refusal): throw DDEError(refusal)
            default: throw DDEError.terminated("the service's answer makes no sense")
            }
        }

        /// Sets an item (`XTYP_POKE`).
        public func poke(_ item: String, _ value: Value, timeout: Duration = .seconds(5)) async throws {
            try DDE.check(item, "an item")
            let content = try value.wire
            try await acknowledged(timeout) {
                $0.poke.item = item
                $0.poke.content = content
            }
        }

        /// Has a command carried out (`XTYP_EXECUTE`).
        public func execute(_ command: String, timeout: Duration = .seconds(5)) async throws {
            guard command.utf8.count <= DDE.largestCommand else {
                throw DDEError.invalid("a command has at most \(DDE.largestCommand) bytes")
            }
            try await acknowledged(timeout) { $0.execute = command }
        }

        /// Asks to be told when an item changes (`XTYP_ADVSTART`). Changes that come faster than they are taken are told
        /// as one, by the latest.
        ///
        /// - Returns: on a hot link what the item has become, on a warm one nil for each change. It ends with the
        ///   conversation, and when the client may have the item no longer; letting go of it ends the link
        ///   (`XTYP_ADVSTOP`).
        public func advise(
            _ item: String, format: String = DDE.plainText, _ link: Link = .hot,
            timeout: Duration = .seconds(5)
        ) async throws -> AsyncStream<Value?> {
            try DDE.check(item, "an item")
            try DDE.check(format: format)
            let id = state.withLock { state in
                state.last += 1
                return state.last
            }
            let (stream, continuation) = AsyncStream.makeStream(
                of: Value?.self, bufferingPolicy: .bufferingNewest(1))
            continuation.onTermination = { [weak self] _ in self?.unlink(id) }
            state.withLock { $0.links[id] = (continuation, link == .warm) }
            do {
                try await acknowledged(timeout, id: id) {
                    $0.advise = .with {
                        $0.item = item
                        $0.format = format
                        $0.warm = link == .warm
                    }
                }
            } catch {
                continuation.finish()
                throw error
            }
            return stream
        }

        /// Ends the conversation (`DdeDisconnect`).
        public func terminate() { connection.disconnect() }

        // MARK: Exchanges

        private func acknowledged(
            _ timeout: Duration, id: UInt64? = nil, _ fill: (inout WireExchange) -> Void
        ) async throws {
            guard case .acknowledge(let answer) = try await transact(timeout, id: id, fill).body else {
                throw DDEError.terminated("the service's answer makes no sense")
            }
            guard answer.done else { throw DDEError(answer) }
        }

        private func transact(
            _ timeout: Duration, id chosen: UInt64? = nil, _ fill: (inout WireExchange) -> Void
        ) async throws -> WireExchange {
            let id =
                chosen
                ?? state.withLock { state in
                    state.last += 1
                    return state.last
                }
            var exchange = WireExchange.with { $0.id = id }
            fill(&exchange)
            let components = timeout.components
            let seconds = Double(components.seconds) + Double(components.attoseconds) / 1e18
            return try await withCheckedThrowingContinuation { continuation in
                let isOver = state.withLock { state in
                    if !state.isOver { state.pending[id] = continuation }
                    return state.isOver
                }
                guard !isOver else {
                    return continuation.resume(throwing: DDEError.terminated("the conversation is over"))
                }
                DispatchQueue.global().asyncAfter(deadline: .now() + seconds) { [weak self] in
                    self?.resume(id, .failure(DDEError.timedOut("no answer within \(timeout)")))
                }
                do { try connection.send(exchange) } catch { resume(id, .failure(error)) }
            }
        }

        private func resume(_ id: UInt64, _ result: Result<WireExchange, any Error>) {
            state.withLock { $0.pending.removeValue(forKey: id) }?.resume(with: result)
        }

        private static func next(_ connection: Connection) -> WireExchange? {
            guard let bytes = try? connection.receive() else { return nil }
            return try? WireExchange(serializedBytes: bytes)
        }

        private func take(_ exchange: WireExchange) {
            guard case .update(let update) = exchange.body else {
                return resume(exchange.id, .success(exchange))
            }
            // One for a link that was given up meanwhile is nobody's.
            guard let link = state.withLock({ $0.links[exchange.id] }) else { return }
            guard !update.ended, link.isWarm || update.hasContent else { return link.updates.finish() }
            link.updates.yield(link.isWarm ? nil : Value(update.content))
            try? connection.send(
                .with {
                    $0.id = exchange.id
                    $0.received = true
                })
        }

        private func unlink(_ id: UInt64) {
            let isOver = state.withLock { state in
                state.links[id] = nil
                return state.isOver
            }
            guard !isOver else { return }
            try? connection.send(
                .with {
                    $0.id = id
                    $0.unadvise = true
                })
        }

        /// The other side has left.
        private func finish() {
            let (pending, links) = state.withLock { state in
                state.isOver = true
                defer { (state.pending, state.links) = ([:], [:]) }
                return (state.pending, state.links)
            }
            for one in pending.values {
                one.resume(throwing: DDEError.terminated("the service ended the conversation"))
            }
            for link in links.values { link.updates.finish() }
        }
    }
}
