import CGuise
import Foundation
import Glibc

/// Text for people: columns, and emphasis where a terminal shows it.
package struct Table {
    private var rows: [[String]]

    package init(_ header: String...) { rows = [header] }

    package mutating func add(_ cells: String...) { rows.append(cells.map(visible)) }

    /// The table, a line per row, the header emphasized.
    package var lines: [String] { lines(width: .max) }

    /// The table, with what goes past `width` columns left out.
    package func lines(width: Int) -> [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.enumerated().map { index, row in
            let cells = row.enumerated().map { column, cell in
                column == row.count - 1
                    ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }
            let line = String(cells.joined(separator: "  ").prefix(width))
            return index == 0 ? Terminal.emphasized(line) : line
        }
    }

    package func show() {
        for line in lines { Tool.say(line) }
    }
}

package enum Terminal {
    /// Whether standard output is one that shows colours, and nobody asked for none.
    private static let hasColours =
        isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil
        && getenv("TERM").map { String(cString: $0) != "dumb" } ?? false

    package enum Colour: Int {
        case red = 31
        case green = 32
        case yellow = 33
    }

    package static func emphasized(_ text: String) -> String {
        hasColours ? "\u{1b}[1m\(text)\u{1b}[0m" : text
    }

    package static func painted(_ text: String, _ colour: Colour) -> String {
        hasColours ? "\u{1b}[\(colour.rawValue)m\(text)\u{1b}[0m" : text
    }

    /// Whether what is shown can be shown anew in its place.
    package static let canRedraw =
        isatty(STDOUT_FILENO) == 1 && getenv("TERM").map { String(cString: $0) != "dumb" } ?? false

    /// How much fits on it, as of now.
    package static var size: (rows: Int, columns: Int) {
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        guard guise_terminal_size(STDOUT_FILENO, &rows, &columns) == 0, rows > 0, columns > 0 else {
            return (24, 80)
        }
        return (Int(rows), Int(columns))
    }
}

package enum JSON {
    /// Writes a value as JSON, with its keys in order, so that outputs can be compared.
    package static func show(_ value: some Encodable) throws {
        Tool.say(try text(value))
    }

    /// Writes a value as JSON on one line.
    package static func showLine(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        Tool.say(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// A value as JSON.
    package static func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
