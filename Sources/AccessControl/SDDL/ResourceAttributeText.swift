extension SDDLScanner {
    /// Reads a resource attribute in its parentheses: `("Project",TS,0x0,"Windows","SQL")`.
    mutating func resourceAttribute() throws(SDDLFailure) -> Claim {
        try expect(UInt8(ascii: "("))
        skipSpace()
        let name = try attributeString()
        try comma()
        let start = position
        guard let type = pair() else { throw failure("TI, TU, TS, TD, TB or TX") }
        position += 2
        try comma()
        let flags = Claim.Flags(rawValue: UInt32(truncatingIfNeeded: try number(below: 0xffff_ffff)))
        let values: Claim.Values
        switch type {
        case 0x5449: values = .int64(try list { scanner throws(SDDLFailure) in try scanner.signed() })
        case 0x5455:
            values = .uint64(try list { scanner throws(SDDLFailure) in try scanner.number(below: .max) })
        case 0x5453:
            values = .string(
                try list { scanner throws(SDDLFailure) in
                    String(decoding: try scanner.quoted(), as: UTF16.self)
                })
        case 0x5444: values = .sid(try list { scanner throws(SDDLFailure) in try scanner.sidValue() })
        case 0x5442:
            values = .boolean(try list { scanner throws(SDDLFailure) in try scanner.number(below: 1) == 1 })
        case 0x5458:
            values = .octets(
                try list { scanner throws(SDDLFailure) in
                    _ = scanner.take(UInt8(ascii: "#"))
                    return try scanner.octets()
                })
        default: throw failure("TI, TU, TS, TD, TB or TX", at: start)
        }
        try expect(UInt8(ascii: ")"))
        return Claim(name: name, flags: flags, values: values)
    }

    private mutating func comma() throws(SDDLFailure) {
        skipSpace()
        try expect(UInt8(ascii: ","))
        skipSpace()
    }

    private mutating func list<Value>(
        _ next: (inout SDDLScanner) throws(SDDLFailure) -> Value
    ) throws(SDDLFailure) -> [Value] {
        var out: [Value] = []
        skipSpace()
        while take(UInt8(ascii: ",")) {
            skipSpace()
            out.append(try next(&self))
            skipSpace()
        }
        return out
    }

    private mutating func signed() throws(SDDLFailure) -> Int64 {
        let isNegative = take(UInt8(ascii: "-"))
        if !isNegative { _ = take(UInt8(ascii: "+")) }
        let magnitude = try number(below: isNegative ? 1 << 63 : (1 << 63) - 1)
        return Int64(truncatingIfNeeded: isNegative ? 0 &- magnitude : magnitude)
    }

    private mutating func sidValue() throws(SDDLFailure) -> SID {
        guard take("SID(") else { return try sid() }
        skipSpace()
        let sid = try sid()
        skipSpace()
        try expect(UInt8(ascii: ")"))
        return sid
    }

    /// Reads a name in quotation marks, in which `%` and four digits stand for a code unit.
    private mutating func attributeString() throws(SDDLFailure) -> String {
        let start = position
        try expect(UInt8(ascii: "\""))
        var units: [UInt16] = []
        while let byte = current {
            if take(UInt8(ascii: "\"")) { return String(decoding: units, as: UTF16.self) }
            if byte == UInt8(ascii: "%") {
                units.append(try escapedUnit())
                continue
            }
            let end = utf8[(position + 1)...].firstIndex { $0 & 0xc0 != 0x80 } ?? utf8.count
            units += Array(String(decoding: utf8[position..<end], as: UTF8.self).utf16)
            position = end
        }
        throw failure("the end of the name", at: start)
    }
}

extension [UInt8] {
    /// Appends a resource attribute in its parentheses.
    mutating func append(_ claim: Claim, _ domain: SID?) {
        append("(\"")
        for unit in claim.name.utf16 {
            if unit < 0x20 || unit == 0x22 || unit == 0x25 || unit > 0x7e {
                append(escaping: unit)
            } else {
                append(UInt8(unit))
            }
        }
        append("\",")
        switch claim.values {
        case .int64: append("TI")
        case .uint64: append("TU")
        case .string: append("TS")
        case .sid: append("TD")
        case .boolean: append("TB")
        case .octets: append("TX")
        }
        append(",")
        append(hex: UInt64(claim.flags.rawValue))
        for index in 0..<claim.values.count {
            append(",")
            switch claim.values {
            case .int64(let values): append(contentsOf: String(values[index]).utf8)
            case .uint64(let values): append(decimal: values[index])
            case .boolean(let values): append(values[index] ? "1" : "0")
            case .string(let values):
                append("\"")
                append(contentsOf: values[index].utf8)
                append("\"")
            case .sid(let values):
                append("SID(")
                append(values[index], domain)
                append(")")
            case .octets(let values):
                append("#")
                append(octets: values[index])
            }
        }
        append(")")
    }
}
