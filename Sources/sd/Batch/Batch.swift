import AccessControl
import Foundation

/// Answers questions of access given as JSON, one object each. The format is that of docs/sd-batch.md.
struct Batch {
    private let decoder = JSONDecoder()
    private let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()

    func answer(_ line: String) -> String {
        let data = Data(line.utf8)
        var answer: BatchAnswer
        do {
            answer = try decoder.decode(BatchQuestion.self, from: data).answer()
        } catch {
            answer = BatchAnswer(error: BatchError.sentence(error))
        }
        // Whatever else is wrong, whoever asked wants to know which question it was.
        answer.id = (try? decoder.decode(Identified.self, from: data))?.id
        guard let text = try? encoder.encode(answer) else { return #"{"allowed":false,"error":"no answer","granted":0}"# }
        return String(decoding: text, as: UTF8.self)
    }

    private struct Identified: Decodable { let id: BatchID? }
}

/// The sender's name for a question: a text or a whole number.
enum BatchID: Codable, Equatable {
    case number(Int64)
    case text(String)

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int64.self) {
            self = .number(number)
        } else {
            self = .text(try container.decode(String.self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .number(let number): try container.encode(number)
        case .text(let text): try container.encode(text)
        }
    }
}

/// An answer.
struct BatchAnswer: Encodable {
    struct Node: Encodable {
        let allowed: Bool
        let granted: UInt32
    }

    var id: BatchID?
    var allowed = false
    var granted: UInt32 = 0
    /// Why there is no decision.
    var error: String?
    /// For each node of the tree.
    var list: [Node]?
    var privilegesUsed: [String]?
    var missingPrivilege: String?
    var staged: UInt32?

    init(error: String) { self.error = error }

    init(_ decision: AccessDecision<RuntimeKind>) {
        allowed = decision.isAllowed
        granted = decision.granted.rawValue
        privilegesUsed = decision.privilegesUsed.isEmpty ? nil : decision.privilegesUsed.map(\.name)
        missingPrivilege = decision.missingPrivilege?.name
        staged = decision.staged?.rawValue
    }

    init(each decisions: [AccessDecision<RuntimeKind>]) {
        // The root is granted what all nodes are.
        guard let root = decisions.first else {
            self.init(error: "the tree is empty")
            return
        }
        self.init(root)
        list = decisions.map { Node(allowed: $0.isAllowed, granted: $0.granted.rawValue) }
    }
}

/// What is wrong with a question.
struct BatchError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    /// One sentence for any error.
    static func sentence(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        let (context, problem): (DecodingError.Context, String) =
            switch error {
            case .keyNotFound(let key, let context): (context, "the field \"\(key.stringValue)\" is missing")
            case .typeMismatch(_, let context), .valueNotFound(_, let context): (context, context.debugDescription)
            case .dataCorrupted(let context): (context, context.debugDescription)
            @unknown default: (.init(codingPath: [], debugDescription: ""), "\(error)")
            }
        let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
        return path.isEmpty ? problem : "\(path.joined(separator: ".")): \(problem)"
    }
}
