import Glibc

extension Moment {
    /// Reads a time as people write it: `10m ago`, `2h`, `today`, `2026-11-21`, `2026-11-21 04:30`,
    /// `2026-11-21T04:30:00.123Z`, `04:30`; in local time unless it ends in `Z` or an offset such as `+02:00`.
    ///
    /// - Returns: nil for what is no time.
    package init?(parsing text: String, now: Moment = .now) {
        let text = text.lowercased().trimmingPrefix { $0 == " " }
        if let seconds = Self.age(text) {
            guard seconds * 1000 <= now.milliseconds else { return nil }
            self.init(milliseconds: now.milliseconds - seconds * 1000)
            return
        }
        switch text {
        case "now": self = now
        case "today", "yesterday":
            var parts = Self.parts(of: now)
            if text == "yesterday" { parts.tm_mday -= 1 }
            (parts.tm_hour, parts.tm_min, parts.tm_sec) = (0, 0, 0)
            guard let moment = Self(parts, 0, offset: nil) else { return nil }
            self = moment
        default:
            guard let moment = Self.point(text, now) else { return nil }
            self = moment
        }
    }

    /// `10m`, `10m ago`: in seconds.
    private static func age(_ text: Substring) -> UInt64? {
        let units: [Character: UInt64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]
        let words = text.split(separator: " ")
        guard let first = words.first, words.count == 1 || words.count == 2 && words[1] == "ago",
            let unit = first.last.flatMap({ units[$0] }), let count = number(first.dropLast(), 1...9)
        else { return nil }
        return UInt64(count) * unit
    }

    /// A number of so many digits, and nothing else.
    private static func number(_ text: Substring, _ digits: ClosedRange<Int>) -> Int? {
        guard digits.contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }

    private static func parts(of moment: Moment) -> tm {
        var seconds = time_t(moment.milliseconds / 1000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return parts
    }

    /// A date, a time of day, or both.
    private static func point(_ text: Substring, _ now: Moment) -> Moment? {
        var parts = parts(of: now)
        var rest = text
        let date = rest.prefix { $0 != " " && $0 != "t" }
        if date.contains("-"), !date.contains(":") {
            let numbers = date.split(separator: "-", omittingEmptySubsequences: false)
            guard numbers.count == 3, let year = number(numbers[0], 4...4),
                let month = number(numbers[1], 2...2), let day = number(numbers[2], 2...2),
                (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day)
            else { return nil }
            (parts.tm_year, parts.tm_mon, parts.tm_mday) = (Int32(year) - 1900, Int32(month) - 1, Int32(day))
            rest = rest.dropFirst(date.count)
            guard !rest.isEmpty else {
                (parts.tm_hour, parts.tm_min, parts.tm_sec) = (0, 0, 0)
                return Moment(parts, 0, offset: nil)
            }
            rest = rest.dropFirst()
        }
        guard let offset = takeOffset(&rest) else { return nil }
        let clock = rest.split(separator: ".", omittingEmptySubsequences: false)
        let numbers = clock.first?.split(separator: ":", omittingEmptySubsequences: false) ?? []
        let values = numbers.compactMap { number($0, 2...2) }
        guard clock.count <= 2, (2...3).contains(numbers.count), values.count == numbers.count,
            values[0] < 24, values[1] < 60, values.count == 2 || values[2] < 61
        else { return nil }
        (parts.tm_hour, parts.tm_min) = (Int32(values[0]), Int32(values[1]))
        parts.tm_sec = values.count == 3 ? Int32(values[2]) : 0
        var fraction = 0
        if clock.count == 2 {
            guard values.count == 3, number(clock[1], 1...9) != nil,
                let thousandths = Int((clock[1] + "00").prefix(3))
            else { return nil }
            fraction = thousandths
        }
        return Moment(parts, fraction, offset: offset)
    }

    /// Takes `z`, `+02:00` off the end. Outer nil: there is one, and it makes no sense; inner nil: local time.
    private static func takeOffset(_ rest: inout Substring) -> Int?? {
        if rest.last == "z" {
            rest = rest.dropLast()
            return .some(0)
        }
        guard let sign = rest.lastIndex(where: { $0 == "+" || $0 == "-" }) else { return .some(nil) }
        let digits = rest[rest.index(after: sign)...].split(separator: ":", omittingEmptySubsequences: false)
        guard digits.count == 2, let hours = number(digits[0], 2...2), let minutes = number(digits[1], 2...2),
            hours < 24, minutes < 60
        else { return nil }
        let seconds = (hours * 60 + minutes) * 60
        defer { rest = rest[..<sign] }
        return .some(rest[sign] == "+" ? seconds : -seconds)
    }

    /// - Parameter offset: seconds that the parts are ahead of UTC; nil: they are local time.
    private init?(_ parts: tm, _ fraction: Int, offset: Int?) {
        var parts = parts
        parts.tm_isdst = -1
        let day = parts.tm_mday
        let seconds = offset == nil ? mktime(&parts) : timegm(&parts) - (offset ?? 0)
        // The calendars make the 31st of April the first of May.
        guard seconds >= 0, parts.tm_mday == day || day < 1 else { return nil }
        self.init(milliseconds: UInt64(seconds) * 1000 + UInt64(fraction))
    }
}
