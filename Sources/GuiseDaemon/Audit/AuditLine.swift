import AccessControl

/// An event as one line of JSON: printable, whatever bytes are in it.
struct AuditLine {
    /// No field is longer, in bytes before it is escaped.
    static let longestField = 4096

    /// No path is longer, in bytes: the longest directory, a slash and the longest path in it.
    static let longestPath = 8193

    private(set) var bytes: [UInt8] = [0x7B]

    /// - Parameter name: the name of a SID, where that is known without asking anybody.
    init(_ event: AuditEvent, name: (SID) -> String?) {
        add("time", WallClock.text(event.time))
        add("event", event.kind.rawValue)
        if let service = event.service { add("service", service) }
        if let process = event.process { add("pid", process) }
        if let thread = event.thread { add("tid", thread) }
        if let user = event.user { add("user", "userName", user, name) }
        if let level = event.level { add("level", level.description) }
        if let client = event.client { add("client", client) }
        if let by = event.by { add("by", "byName", by, name) }
        if let call = event.call { add("call", call) }
        if let path = event.path { add("path", path) }
        if let target = event.target { add("target", target) }
        if let object = event.object { add("object", object) }
        if let isSuccess = event.isSuccess { add("outcome", isSuccess ? "success" : "failure") }
        if let wanted = event.wanted { add("wanted", Self.names(wanted)) }
        if let refused = event.refused { add("refused", Self.names(refused)) }
        if let granted = event.granted { add("granted", Self.names(granted)) }
        if !event.privileges.isEmpty { add("privileges", event.privileges.map(\.name)) }
        if let change = event.change { add("change", change) }
        if let rule = event.rule { add("rule", rule) }
        if event.count > 1 {
            add("count", event.count)
            add("until", WallClock.text(event.until))
        }
        if !event.lost.isEmpty { add(event.lost) }
        bytes += [0x7D, 0x0A]
    }

    private static func names(_ mask: AccessMask<FileKind>) -> [String] {
        mask == [] ? [] : mask.description.split(separator: " | ").map(String.init)
    }

    // MARK: Fields

    private mutating func key(_ key: String) {
        if bytes.count > 1 { bytes.append(0x2C) }
        quote(key)
        bytes.append(0x3A)
    }

    private mutating func add(_ key: String, _ number: some BinaryInteger) {
        self.key(key)
        bytes += String(number).utf8
    }

    private mutating func add(_ key: String, _ text: String) {
        self.key(key)
        quote(Self.shortened(text))
    }

    private mutating func add(_ key: String, _ texts: [String]) {
        self.key(key)
        bytes.append(0x5B)
        for (index, text) in texts.enumerated() {
            if index > 0 { bytes.append(0x2C) }
            quote(text)
        }
        bytes.append(0x5D)
    }

    private mutating func add(
        _ key: String, _ nameKey: String, _ sid: SID, _ name: (SID) -> String?
    ) {
        add(key, sid.description)
        if let name = name(sid) { add(nameKey, name) }
    }

    /// A path is any bytes. What is no UTF-8 is shown by replacement characters, and said in hexadecimal besides, so
    /// that no two paths look the same. Of one that is too long the first bytes are there, and how many it had.
    private mutating func add(_ key: String, _ path: [UInt8]) {
        self.key(key)
        let count = path.count
        let path = path.prefix(Self.longestPath)
        quote(String(decoding: path, as: UTF8.self))
        if String(validating: path, as: UTF8.self) == nil {
            self.key(key + "Hex")
            quote(path.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
        }
        if count > path.count { add(key + "Length", count) }
    }

    private mutating func add(_ lost: AuditLosses) {
        key("lost")
        bytes.append(0x7B)
        for (index, (payer, counts)) in lost.sorted(by: { $0.key < $1.key }).enumerated() {
            if index > 0 { bytes.append(0x2C) }
            quote(payer)
            bytes += [0x3A, 0x7B]
            let kinds = counts.sorted { $0.key.rawValue < $1.key.rawValue }
            for (index, (kind, count)) in kinds.enumerated() {
                if index > 0 { bytes.append(0x2C) }
                quote(kind.rawValue)
                bytes.append(0x3A)
                bytes += String(count).utf8
            }
            bytes.append(0x7D)
        }
        bytes.append(0x7D)
    }

    // MARK: Text

    private static func shortened(_ text: String) -> String {
        let count = text.utf8.count
        guard count > longestField else { return text }
        return String(decoding: text.utf8.prefix(longestField), as: UTF8.self) + "… (\(count) bytes)"
    }

    /// As JSON wants it, and what a terminal would obey, or a reader could not see, escaped, too.
    private mutating func quote(_ text: String) {
        bytes.append(0x22)
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22, 0x5C: bytes += [0x5C, UInt8(scalar.value)]
            case 0x20..<0x7F: bytes.append(UInt8(scalar.value))
            case 0x80... where !Self.isInvisible(scalar): bytes += String(scalar).utf8
            default: for unit in String(scalar).utf16 { escape(unit) }
            }
        }
        bytes.append(0x22)
    }

    private mutating func escape(_ unit: UInt16) {
        let digits = String(unit, radix: 16)
        bytes += [0x5C, 0x75] + Array("0000".utf8.dropFirst(digits.utf8.count)) + Array(digits.utf8)
    }

    private static func isInvisible(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}
