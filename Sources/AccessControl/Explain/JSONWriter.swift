/// Writes JSON, because this module has no Foundation.
struct JSONWriter {
    private(set) var text = ""
    private var needsComma = false

    mutating func object(_ body: (inout JSONWriter) -> Void) {
        text += "{"
        needsComma = false
        body(&self)
        text += "}"
        needsComma = true
    }

    mutating func member(_ name: String, _ value: Bool) { key(name, value ? "true" : "false") }
    mutating func member(_ name: String, _ value: UInt64) { key(name, String(value)) }
    mutating func member(_ name: String, _ value: String) { key(name, Self.quoted(value)) }
    mutating func member(_ name: String, _ values: [String]) {
        key(name, "[" + values.map(Self.quoted).joined(separator: ",") + "]")
    }

    mutating func list<Item>(_ name: String, _ items: [Item], _ body: (inout JSONWriter, Item) -> Void) {
        key(name, "[")
        for (index, item) in items.enumerated() {
            if index > 0 { text += "," }
            object { body(&$0, item) }
        }
        text += "]"
        needsComma = true
    }

    private mutating func key(_ name: String, _ value: String) {
        if needsComma { text += "," }
        text += Self.quoted(name) + ":" + value
        needsComma = true
    }

    static func quoted(_ string: String) -> String {
        var out = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
