extension SecurityDescriptor {
    /// The string form (MS-DTYP 2.5.1), as Windows writes it.
    ///
    /// What the language has no words for is written in ways that only `init(sddl:)` reads: entries of types
    /// without a name as `(0x04;…)`, their bodies and other data that is no condition as `#hex`.
    ///
    /// - Parameter domain: the domain whose accounts are written by their aliases.
    public func sddl(domain: SID? = nil) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(128)
        if let owner {
            out.append("O:")
            out.append(owner, domain)
        }
        if let group {
            out.append("G:")
            out.append(group, domain)
        }
        if dacl != .absent { out.append("D:", dacl, control.rawValue, domain) }
        if sacl != .absent { out.append("S:", sacl, control.rawValue >> 1, domain) }
        return String(decoding: out, as: UTF8.self)
    }
}

extension ACE {
    /// The string form of this entry, in parentheses.
    public func sddl(domain: SID? = nil) -> String {
        var out: [UInt8] = []
        out.append(self, domain)
        return String(decoding: out, as: UTF8.self)
    }
}

extension [UInt8] {
    mutating func append(_ word: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
    }

    /// Appends a number in decimal.
    mutating func append(decimal value: UInt64) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var (count, rest) = (0, value)
        repeat {
            digits[count] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
            (count, rest) = (count + 1, rest / 10)
        } while rest != 0
        for index in stride(from: count - 1, through: 0, by: -1) { append(digits[index]) }
    }

    /// Appends a number in hexadecimal after `0x`.
    mutating func append(hex value: UInt64) {
        append("0x")
        var shift = Swift.max(0, 60 - value.leadingZeroBitCount & ~3)
        while shift >= 0 {
            append(hexDigit: UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 15)
            shift -= 4
        }
    }

    /// Appends octets, two digits each.
    mutating func append(octets: some Sequence<UInt8>) {
        for octet in octets {
            append(hexDigit: octet >> 4)
            append(hexDigit: octet & 15)
        }
    }

    private mutating func append(hexDigit digit: UInt8) { append(digit < 10 ? digit + 0x30 : digit + 0x57) }

    /// Appends a SID, or its alias.
    mutating func append(_ sid: SID, _ domain: SID?) {
        if let alias = SIDAlias.alias(of: sid, domain: domain) {
            append(alias)
            return
        }
        append("S-1-")
        if sid.authority < 1 << 32 {
            append(decimal: sid.authority)
        } else {
            append(contentsOf: sid.description.dropFirst(4).prefix { $0 != "-" }.utf8)
        }
        for index in 0..<sid.subAuthorityCount {
            append(UInt8(ascii: "-"))
            append(decimal: UInt64(sid.subAuthority(at: index)))
        }
    }

    fileprivate mutating func append(
        _ head: StaticString, _ list: SecurityDescriptor.List, _ bits: UInt16, _ domain: SID?
    ) {
        append(head)
        let control = SecurityDescriptor.Control(rawValue: bits)
        if control.contains(.daclProtected) { append("P") }
        if control.contains(.daclAutoInheritRequired) { append("AR") }
        if control.contains(.daclAutoInherited) { append("AI") }
        guard case .present(let acl) = list else {
            append("NO_ACCESS_CONTROL")
            return
        }
        for ace in acl.aces { append(ace, domain) }
    }

    mutating func append(_ ace: ACE, _ domain: SID?) {
        append("(")
        if let word = SDDLWords.types.first(where: { $0.1 == ace.type })?.0 {
            append(word)
        } else {
            append(hex: UInt64(ace.type.rawValue))
        }
        append(";")
        for (word, bit) in SDDLWords.flags where ace.flags.rawValue & bit != 0 {
            if ace.type == .accessFilter, bit == 0x40 { append("TP") } else { append(word) }
        }
        append(";")
        switch ace.body {
        case .opaque(let body):
            append("#")
            append(octets: body)
            append(";;;)")
        case .entry(let entry):
            append(rights: entry.mask, of: ace.type)
            append(";")
            if let guid = entry.object?.objectType { append(contentsOf: guid.description.utf8) }
            append(";")
            if let guid = entry.object?.inheritedObjectType { append(contentsOf: guid.description.utf8) }
            append(";")
            append(entry.sid, domain)
            append(entry.applicationData, of: ace.type, domain)
            append(")")
        }
    }

    private mutating func append(rights mask: UInt32, of type: ACEType) {
        if type == .mandatoryLabel, mask & ~7 == 0 {
            for (word, bit) in SDDLWords.policies where mask & bit != 0 { append(word) }
            return
        }
        if mask == 0 { return }
        if let word = SDDLWords.masks.first(where: { $0.1 == mask })?.0 {
            append(word)
        } else if mask & ~SDDLWords.allBits == 0 {
            for (word, bit) in SDDLWords.bits where mask & bit != 0 { append(word) }
        } else {
            append(hex: UInt64(mask))
        }
    }

    private mutating func append(_ data: [UInt8], of type: ACEType, _ domain: SID?) {
        guard !data.isEmpty else { return }
        append(";")
        // What would not be read back as the same bytes is written as bytes.
        if type == .resourceAttribute, let claim = Claim(bytes: data), isFaithful(claim), claim.bytes == data
        {
            append(claim, domain)
        } else if type.isCallback, let condition = Condition(bytes: data), condition.isFaithful,
            condition.bytes == data
        {
            append(condition, domain)
        } else {
            append("#")
            append(octets: data)
        }
    }
}
