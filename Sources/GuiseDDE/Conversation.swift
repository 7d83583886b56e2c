import CGuise
import Glibc
public import Guise
import Synchronization

extension DDE {
    /// The service's side of a conversation.
    public final class Conversation: Sendable {
        /// The client, captured. ``Guise/Connection/impersonating(atMost:_:)`` acts as it where a handler is not already
        /// called as it.
        public let connection: Connection
        private let topics: Set<String>
        private let handler: any Handler
        private let wake: Int32
        private let state = Mutex(State())

        private struct State {
            var topic = ""
            var links: [UInt64: ServedLink] = [:]
        }

        private struct ServedLink {
            let item: String
            let format: String
            let isWarm: Bool
            /// Something happened that the client was not told yet.
            var isStale = false
            /// The client has not said yet that it took the last update. It gets no other before.
            var isOnTheWay = false
        }

        /// Seconds that a client has to say what it wants to talk about, and to take what it is sent.
        private static let patience = 5

        init(_ connection: Connection, topics: Set<String>, handler: any Handler) throws(DDEError) {
            self.connection = connection
            self.topics = topics
            self.handler = handler
            wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
            guard wake >= 0 else { throw .limitReached("no descriptors are left") }
            var limit = timeval(tv_sec: Self.patience, tv_usec: 0)
            setsockopt(
                connection.fileDescriptor.rawValue, SOL_SOCKET, SO_SNDTIMEO, &limit,
                socklen_t(MemoryLayout<timeval>.size))
        }

        deinit { close(wake) }

        /// What it is about.
        public var topic: String { state.withLock { $0.topic } }

        /// Ends it.
        public func terminate() { connection.disconnect() }

        /// Converses until one side ends it.
        func run() {
            defer { connection.disconnect() }
            var polled = [
                pollfd(fd: connection.fileDescriptor.rawValue, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
            ]
            var isInitiated = false
            while true {
                let count = poll(&polled, 2, isInitiated ? -1 : Int32(Self.patience * 1000))
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                do {
                    if polled[1].revents != 0 {
                        var number: UInt64 = 0
                        _ = read(wake, &number, 8)
                        try sendUpdates()
                    }
                    if polled[0].revents != 0 {
                        guard let bytes = try connection.receive() else { return }
                        let exchange = try WireExchange(serializedBytes: bytes)
                        if isInitiated { try answer(exchange) } else { isInitiated = try initiate(exchange) }
                    }
                } catch { return }
            }
        }

        private func initiate(_ exchange: WireExchange) throws -> Bool {
            guard case .initiate(let topic) = exchange.body else { throw DDEError.invalid("initiate first") }
            guard topic.utf8.count <= DDE.largestName, topics.contains(topic.lowercased()) else {
                try acknowledge(exchange.id, DDEError.noSuchTopic("the service knows nothing of this topic"))
                return false
            }
            state.withLock { $0.topic = topic }
            try acknowledge(exchange.id)
            return true
        }

        /// A defect of the client, which is thrown, ends the conversation; what is refused does not.
        private func answer(_ exchange: WireExchange) throws {
            let id = exchange.id
            switch exchange.body {
            case .request(let item):
                guard Self.isName(item.item), Self.isBounded(item.content) else {
                    throw DDEError.invalid("no item")
                }
                let answer: WireContent
                do {
                    answer = try value(of: item.item, format: item.content.format)
                } catch { return try acknowledge(id, error) }
                try connection.send(
                    .with {
                        $0.id = id
                        $0.content = answer
                    })
            case .poke(let item):
                guard Self.isName(item.item), Self.isBounded(item.content) else {
                    throw DDEError.invalid("no item")
                }
                try perform(id) { try handler.poke(item.item, Value(item.content), in: self) }
            case .execute(let command):
                guard command.utf8.count <= DDE.largestCommand else { throw DDEError.invalid("too long") }
                try perform(id) { try handler.execute(command, in: self) }
            case .advise(let advise):
                guard Self.isName(advise.item), advise.format.utf8.count <= DDE.largestFormat else {
                    throw DDEError.invalid("no item")
                }
                try perform(id) { try link(id, advise) }
            case .unadvise:
                state.withLock { _ = $0.links.removeValue(forKey: id) }
            case .received:
                let isStale = state.withLock { state in
                    state.links[id]?.isOnTheWay = false
                    return state.links[id]?.isStale == true
                }
                if isStale { try sendUpdates() }
            case .initiate, .content, .acknowledge, .update, nil:
                throw DDEError.invalid("not the client's to say")
            }
        }

        private static func isName(_ text: String) -> Bool { (1...DDE.largestName).contains(text.utf8.count) }

        private static func isBounded(_ content: WireContent) -> Bool {
            content.format.utf8.count <= DDE.largestFormat && content.data.count <= DDE.largestData
        }

        private func value(of item: String, format: String) throws -> WireContent {
            try connection.impersonating { try handler.request(item, format: format, in: self).wire }
        }

        private func perform(_ id: UInt64, _ body: () throws -> Void) throws {
            do {
                try connection.impersonating(body)
            } catch { return try acknowledge(id, error) }
            try acknowledge(id)
        }

        private func acknowledge(_ id: UInt64, _ error: (any Error)? = nil) throws {
            try connection.send(
                .with {
                    $0.id = id
                    $0.acknowledge =
                        error.map { DDEError.acknowledgement(of: $0) } ?? .with { $0.done = true }
                })
        }

        // MARK: Links

        private func link(_ id: UInt64, _ advise: WireAdvise) throws {
            let hasRoom = state.withLock { $0.links.count < DDE.largestLinkCount && $0.links[id] == nil }
            guard hasRoom else {
                throw DDEError.limitReached("a conversation has at most \(DDE.largestLinkCount) links")
            }
            try handler.advise(advise.item, format: advise.format, in: self)
            state.withLock {
                $0.links[id] = ServedLink(item: advise.item, format: advise.format, isWarm: advise.warm)
            }
        }

        /// An item has changed. From any thread.
        func note(_ item: String, of topic: String) {
            let concerned = state.withLock { state in
                guard state.topic.lowercased() == topic.lowercased() else { return false }
                let ids = state.links.filter { $0.value.item == item }.keys
                for id in ids { state.links[id]?.isStale = true }
                return !ids.isEmpty
            }
            guard concerned else { return }
            var one: UInt64 = 1
            _ = write(wake, &one, 8)
        }

        /// Tells what there is to tell on links whose last update was taken.
        private func sendUpdates() throws {
            while true {
                let next = state.withLock { state -> (UInt64, ServedLink)? in
                    guard
                        let (id, link) = state.links.first(where: { $0.value.isStale && !$0.value.isOnTheWay }
                        )
                    else { return nil }
                    state.links[id]?.isStale = false
                    state.links[id]?.isOnTheWay = true
                    return (id, link)
                }
                guard let (id, link) = next else { return }
                var update = WireUpdate()
                if !link.isWarm {
                    do {
                        update.content = try value(of: link.item, format: link.format)
                    } catch {
                        // The client may have lost the right to it.
                        update.ended = true
                        state.withLock { _ = $0.links.removeValue(forKey: id) }
                    }
                }
                try connection.send(
                    .with {
                        $0.id = id
                        $0.update = update
                    })
            }
        }
    }
}
