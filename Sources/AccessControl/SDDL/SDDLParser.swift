extension SecurityDescriptor {
    /// Reads the string form (MS-DTYP 2.5.1).
    ///
    /// - Parameters:
    ///   - sddl: for instance `O:SYG:SYD:P(A;OICI;FA;;;BA)`; the four parts in any order, each at most once.
    ///   - domain: the domain that aliases such as `DA` are taken in; without it they are errors.
    /// - Throws: where the text stopped making sense, and what was expected there.
    public init(sddl: String, domain: SID? = nil) throws(SDDLError) {
        self = try SDDLScanner.read(sddl, domain: domain) { scanner throws(SDDLFailure) in
            try scanner.descriptor()
        }
    }
}

extension ACE {
    /// Reads one entry of the string form, in its parentheses.
    ///
    /// - Throws: where the text stopped making sense, and what was expected there.
    public init(sddl: String, domain: SID? = nil) throws(SDDLError) {
        self = try SDDLScanner.read(sddl, domain: domain) { scanner throws(SDDLFailure) in try scanner.ace() }
    }
}

extension SDDLScanner {
    /// Reads all of `text` with `body`.
    static func read<Value>(
        _ text: String, domain: SID?, _ body: (inout SDDLScanner) throws(SDDLFailure) -> Value
    ) throws(SDDLError) -> Value {
        var text = text
        let outcome: Result<Value, SDDLError> = text.withUTF8 { utf8 in
            var scanner = SDDLScanner(utf8: utf8, domain: domain)
            do throws(SDDLFailure) {
                let value = try body(&scanner)
                scanner.skipSpace()
                guard scanner.isAtEnd else { throw scanner.failure("the end") }
                return .success(value)
            } catch {
                return .failure(error.error(in: utf8))
            }
        }
        return try outcome.get()
    }

    mutating func descriptor() throws(SDDLFailure) -> SecurityDescriptor {
        var out = SecurityDescriptor(owner: nil, group: nil, dacl: .absent)
        var seen: UInt8 = 0
        while true {
            skipSpace()
            guard let letter = current else { return out }
            let part: UInt8
            switch Self.upper(letter) {
            case UInt8(ascii: "O"): part = 1
            case UInt8(ascii: "G"): part = 2
            case UInt8(ascii: "D"): part = 4
            case UInt8(ascii: "S"): part = 8
            default: throw failure("O:, G:, D: or S:")
            }
            guard seen & part == 0 else { throw failure("each of O:, G:, D: and S: once") }
            seen |= part
            guard peek(1) == UInt8(ascii: ":") else { throw failure("\":\"", at: position + 1) }
            position += 2
            skipSpace()
            switch part {
            case 1: out.owner = try sid()
            case 2: out.group = try sid()
            case 4:
                let (flags, list) = try list()
                out.dacl = list
                out.control.formUnion(SecurityDescriptor.Control(rawValue: flags))
            default:
                let (flags, list) = try list()
                out.sacl = list
                // The bits of the SACL are those of the DACL, one place up.
                out.control.formUnion(SecurityDescriptor.Control(rawValue: flags << 1))
            }
        }
    }

    /// Reads the flags, as control bits of the DACL, and the entries of a list.
    private mutating func list() throws(SDDLFailure) -> (UInt16, SecurityDescriptor.List) {
        var flags: UInt16 = 0
        var isNull = false
        while let byte = current, byte != UInt8(ascii: "(") {
            if take("NO_ACCESS_CONTROL") {
                isNull = true
            } else if take("AR") {
                flags |= SecurityDescriptor.Control.daclAutoInheritRequired.rawValue
            } else if take("AI") {
                flags |= SecurityDescriptor.Control.daclAutoInherited.rawValue
            } else if peek(1) != UInt8(ascii: ":"), take("P") {
                flags |= SecurityDescriptor.Control.daclProtected.rawValue
            } else {
                break
            }
        }
        skipSpace()
        var aces: [ACE] = []
        let start = position
        while current == UInt8(ascii: "(") {
            guard !isNull else { throw failure("no entries after NO_ACCESS_CONTROL") }
            aces.append(try ace())
            skipSpace()
        }
        if isNull { return (flags, .null) }
        guard let acl = try? ACL(aces) else { throw failure("a list of at most 65,535 bytes", at: start) }
        return (flags, .present(acl))
    }

    mutating func ace() throws(SDDLFailure) -> ACE {
        try expect(UInt8(ascii: "("))
        skipSpace()
        let type = try aceType()
        try separator()
        let flags = try aceFlags(type)
        try separator()
        if type.layout == .opaque { return try opaqueACE(type, flags) }
        let mask = try rights()
        try separator()
        let objectType = try guid()
        try separator()
        let inheritedType = try guid()
        if !type.isObject, objectType != nil || inheritedType != nil {
            throw failure("no GUID for this type")
        }
        try separator()
        skipSpace()
        let sid = try sid()
        skipSpace()
        var data: [UInt8] = []
        if take(UInt8(ascii: ";")) {
            skipSpace()
            data = try applicationData(type)
            skipSpace()
        }
        try expect(UInt8(ascii: ")"))
        let object = ACE.ObjectPart(objectType: objectType, inheritedObjectType: inheritedType)
        return ACE(
            known: type, flags,
            ACE.Entry(mask: mask, sid: sid, object: type.isObject ? object : nil, applicationData: data))
    }

    private mutating func separator() throws(SDDLFailure) {
        skipSpace()
        try expect(UInt8(ascii: ";"))
        skipSpace()
    }

    private mutating func aceType() throws(SDDLFailure) -> ACEType {
        if current == UInt8(ascii: "0") {
            return ACEType(rawValue: UInt8(truncatingIfNeeded: try number(below: 0xff)))
        }
        let code: UInt16
        if let pair = pair() {
            code = pair
            position += 2
        } else if let letter = current {
            code = UInt16(Self.upper(letter)) << 8
            position += 1
        } else {
            throw failure("an ACE type such as A or D")
        }
        for (word, type) in SDDLWords.types {
            let second = word.utf8CodeUnitCount == 2 ? word.utf8Start[1] : 0
            if UInt16(word.utf8Start[0]) << 8 | UInt16(second) == code { return type }
        }
        throw failure("an ACE type such as A or D", at: position - (code & 0xff == 0 ? 1 : 2))
    }

    private mutating func aceFlags(_ type: ACEType) throws(SDDLFailure) -> ACEFlags {
        var out: UInt8 = 0
        while let byte = current, byte != UInt8(ascii: ";"), byte != 0x20 {
            // The flag of an access filter that trusted code alone may carry shares its bit with SA.
            if type == .accessFilter, take("TP") {
                out |= 0x40
                continue
            }
            guard let found = SDDLWords.flags.first(where: { take($0.0) }) else {
                throw failure("an ACE flag such as CI or ID")
            }
            out |= found.1
        }
        return ACEFlags(rawValue: out)
    }

    private mutating func rights() throws(SDDLFailure) -> UInt32 {
        if let byte = current, (0x30...0x39).contains(byte) {
            return UInt32(truncatingIfNeeded: try number(below: 0xffff_ffff))
        }
        var out: UInt32 = 0
        while let byte = current, byte != UInt8(ascii: ";"), byte != 0x20 {
            guard let pair = pair(), let mask = SDDLWords.right(pair) else {
                throw failure("rights such as FA or RPWP, or a number")
            }
            out |= mask
            position += 2
        }
        return out
    }

    private mutating func guid() throws(SDDLFailure) -> GUID? {
        guard let byte = current, byte != UInt8(ascii: ";"), byte != 0x20 else { return nil }
        let length = byte == UInt8(ascii: "{") ? 38 : 36
        guard utf8.count - position >= length,
            let guid = GUID(String(decoding: utf8[position..<position + length], as: UTF8.self))
        else { throw failure("a GUID") }
        position += length
        return guid
    }

    /// Reads the body of an entry of unknown layout: `#hex;;;`.
    private mutating func opaqueACE(_ type: ACEType, _ flags: ACEFlags) throws(SDDLFailure) -> ACE {
        try expect(UInt8(ascii: "#"))
        let body = try octets()
        for _ in 0..<3 { try separator() }
        guard let ace = ACE(unknownType: type, flags: flags, body: body) else {
            throw failure("a shorter body")
        }
        try expect(UInt8(ascii: ")"))
        return ace
    }

    /// Reads what follows the SID: octets for anything, a condition or a resource attribute where they belong.
    private mutating func applicationData(_ type: ACEType) throws(SDDLFailure) -> [UInt8] {
        if take(UInt8(ascii: "#")) { return try octets() }
        if type == .resourceAttribute { return try resourceAttribute().bytes }
        if type.isCallback { return try condition().bytes }
        throw failure("\")\"")
    }
}
