import AccessControl

/// What is claimed about the user, the device, and locally.
struct BatchClaims: Decodable {
    private enum Key: String, CodingKey, CaseIterable { case user, device, local }

    let user: [Claim]
    let device: [Claim]
    let local: [Claim]

    init(from decoder: any Decoder) throws {
        let fields = try decoder.fields(Key.self)
        func claims(_ key: Key) throws -> [Claim] {
            try (fields.decodeIfPresent([BatchClaim].self, forKey: key) ?? []).map(\.claim)
        }
        (user, device, local) = (try claims(.user), try claims(.device), try claims(.local))
    }
}

/// A claim, its type by the letters that SDDL has for it.
struct BatchClaim: Decodable {
    private enum Key: String, CodingKey, CaseIterable { case name, type, flags, values }

    let claim: Claim

    init(from decoder: any Decoder) throws {
        let fields = try decoder.fields(Key.self)
        func list<Value: Decodable>(_: Value.Type) throws -> [Value] {
            try fields.decode([Value].self, forKey: .values)
        }
        let type = try fields.decode(String.self, forKey: .type)
        let values: Claim.Values
        switch type.uppercased() {
        case "TI": values = .int64(try list(Int64.self))
        case "TU": values = .uint64(try list(UInt64.self))
        case "TS": values = .string(try list(String.self))
        case "TD": values = .sid(try list(BatchSID.self).map(\.sid))
        case "TB": values = .boolean(try list(Bool.self))
        case "TX":
            values = .octets(
                try list(String.self).map { text in
                    guard let bytes = Hex.bytes(text) else { throw BatchError("claims: \"\(text)\" is not hexadecimal") }
                    return bytes
                })
        default: throw BatchError("claims: the type is TI, TU, TS, TD, TB or TX")
        }
        claim = Claim(
            name: try fields.decode(String.self, forKey: .name),
            flags: Claim.Flags(rawValue: try fields.decodeIfPresent(BatchNumber.self, forKey: .flags)?.value ?? 0),
            values: values)
    }
}
