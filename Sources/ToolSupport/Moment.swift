import Foundation
import Glibc

/// A moment, as the authority tells it: people read it in their own time zone, programs in UTC.
package struct Moment: Encodable, CustomStringConvertible, Comparable, Sendable {
    let milliseconds: UInt64

    package init(milliseconds: UInt64) { self.milliseconds = milliseconds }

    package static var now: Moment {
        Moment(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1000)))
    }

    /// `2026-11-21 04:30:00`; `-` for what no calendar has.
    package var description: String { text("%Y-%m-%d %H:%M:%S", localtime_r) ?? "-" }

    package static func < (one: Moment, other: Moment) -> Bool { one.milliseconds < other.milliseconds }

    /// `2026-11-21 04:30:00.123`.
    package var precise: String { text("%Y-%m-%d %H:%M:%S", localtime_r).map { "\($0).\(fraction)" } ?? "-" }

    /// `04:30:00.123`.
    package var time: String { text("%H:%M:%S", localtime_r).map { "\($0).\(fraction)" } ?? "-" }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let text = text("%Y-%m-%dT%H:%M:%S", gmtime_r) {
            try container.encode("\(text).\(fraction)Z")
        } else {
            try container.encodeNil()
        }
    }

    private var fraction: String {
        let digits = String(milliseconds % 1000)
        return String(repeating: "0", count: 3 - digits.count) + digits
    }

    private typealias Calendar = (
        UnsafePointer<time_t>, UnsafeMutablePointer<tm>
    ) -> UnsafeMutablePointer<tm>?

    private func text(_ format: String, _ calendar: Calendar) -> String? {
        var seconds = time_t(milliseconds / 1000)
        var parts = tm()
        var text = [CChar](repeating: 0, count: 64)
        // Years of more than four digits are nobody's.
        guard milliseconds < 253_402_300_800_000, calendar(&seconds, &parts) != nil else { return nil }
        let length = strftime(&text, text.count, format, &parts)
        return length == 0
            ? nil : String(decoding: text[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
