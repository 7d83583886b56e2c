public import Guise
import SwiftProtobuf

/// Dynamic data exchange: a client holds a conversation with a service about a topic, asks for items and sets them, has
/// commands executed, and is told when items change. The service acts as the client of the conversation.
///
/// A service is a named pipe in message mode, `SERVICE/dde`; each conversation is a connection of it.
public enum DDE {
    /// Data with its format.
    public struct Value: Sendable, Hashable {
        /// What the bytes are, by a name that both sides agree on, as `text/plain`; 1 to 64 bytes.
        public var format: String
        /// At most ``DDE/largestData`` bytes.
        public var data: [UInt8]

        /// Makes a value.
        public init(_ data: some Sequence<UInt8>, format: String) {
            (self.data, self.format) = (Array(data), format)
        }

        /// Text in UTF-8, in the format `text/plain`.
        public init(text: String) { self.init(text.utf8, format: DDE.plainText) }

        /// The bytes as UTF-8.
        public var text: String { String(decoding: data, as: UTF8.self) }
    }

    /// Whether a client is told what an item has become, or only that it changed.
    public enum Link: Sendable, Hashable {
        /// The data comes with each update (`XTYP_ADVSTART`).
        case hot
        /// The client asks for the data when it wants it (`XTYPF_NODATA`).
        case warm
    }

    /// The format that text has unless something else is said.
    public static let plainText = "text/plain"
    /// The most bytes of a value.
    public static let largestData = 60_000
    /// The most bytes of a service's, a topic's or an item's name, in UTF-8.
    public static let largestName = 240
    /// The most bytes of a command, in UTF-8.
    public static let largestCommand = 32_000
    /// The most bytes of a format's name, in UTF-8.
    static let largestFormat = 64
    /// The most links of one conversation.
    public static let largestLinkCount = 64

    /// Where a service's conversations start.
    static func pipe(_ service: String) throws(DDEError) -> String {
        try check(service, "a service's name")
        return service + "/dde"
    }

    static func check(_ name: String, _ what: String) throws(DDEError) {
        guard (1...largestName).contains(name.utf8.count), !name.utf8.contains(0) else {
            throw .invalid("\(what) has 1 to \(largestName) bytes")
        }
    }

    static func check(format: String) throws(DDEError) {
        guard (1...largestFormat).contains(format.utf8.count) else {
            throw .invalid("a format has 1 to \(largestFormat) bytes")
        }
    }
}

/// Why something was not done.
public enum DDEError: Error, Sendable, Hashable {
    /// The service does not know the topic.
    case noSuchTopic(String)
    /// The service did not do it: no such item, format or command, or its handler says so.
    case notProcessed(String)
    /// The client may not, or the service may not act as the client.
    case denied(String)
    /// A limit of the conversation is reached.
    case limitReached(String)
    /// A name, a command or a value is too long, or empty where it may not be.
    case invalid(String)
    /// No answer came in time. It may still be done.
    case timedOut(String)
    /// The conversation is over.
    case terminated(String)
    /// Connecting or serving failed.
    case transport(GuiseError)
}

extension DDEError: CustomStringConvertible {
    /// The sentence of the case.
    public var description: String {
        switch self {
        case .noSuchTopic(let text), .notProcessed(let text), .denied(let text), .limitReached(let text),
            .invalid(let text), .timedOut(let text), .terminated(let text):
            text
        case .transport(let error): error.description
        }
    }
}

extension DDEError {
    init(_ wire: WireAcknowledge) {
        switch wire.reason {
        case .noSuchTopic: self = .noSuchTopic(wire.message)
        case .denied: self = .denied(wire.message)
        case .limit: self = .limitReached(wire.message)
        case .notProcessed, .unspecified, .UNRECOGNIZED: self = .notProcessed(wire.message)
        }
    }

    /// What a client is told. Of an error that is not of this kind nothing: it may say what is none of its business.
    static func acknowledgement(of error: any Error) -> WireAcknowledge {
        var answer = WireAcknowledge()
        switch error {
        case let error as DDEError:
            answer.message = String(error.description.prefix(500))
            switch error {
            case .noSuchTopic: answer.reason = .noSuchTopic
            case .denied: answer.reason = .denied
            case .limitReached: answer.reason = .limit
            default: answer.reason = .notProcessed
            }
        case is GuiseError:
            answer.reason = .denied
            answer.message = "the service may not act as the client"
        default:
            answer.reason = .notProcessed
            answer.message = "the service could not do it"
        }
        return answer
    }
}

extension DDE.Value {
    init(_ wire: WireContent) { self.init(wire.data, format: wire.format) }

    var wire: WireContent {
        get throws(DDEError) {
            guard data.count <= DDE.largestData else {
                throw .invalid("a value has at most \(DDE.largestData) bytes")
            }
            try DDE.check(format: format)
            return .with {
                $0.format = format
                $0.data = .init(data)
            }
        }
    }
}

extension Connection {
    func send(_ exchange: WireExchange) throws(DDEError) {
        let bytes: [UInt8]
        do { bytes = try exchange.serializedBytes() } catch { throw .invalid("\(error)") }
        do { try send(bytes) } catch { throw .terminated("the other side has left, or reads nothing") }
    }
}
