import AccessControl

/// The token of a question.
struct BatchToken: Decodable {
    private enum Key: String, CodingKey, CaseIterable {
        case user, userDenyOnly, groups, restricted, writeRestricted, privileges, integrity, policy, claims
        case deviceGroups, appContainer, capabilities, lowPrivilege
    }

    let token: Token

    init(from decoder: any Decoder) throws {
        let json = try decoder.fields(Key.self)
        func groups(_ key: Key) throws -> [Token.Group] {
            try (json.decodeIfPresent([BatchGroup].self, forKey: key) ?? []).map(\.group)
        }
        func flag(_ key: Key) throws -> Bool { try json.decodeIfPresent(Bool.self, forKey: key) ?? false }

        var fields = Token.Fields(
            user: try json.decode(BatchSID.self, forKey: .user).sid,
            integrity: try json.decodeIfPresent(BatchIntegrity.self, forKey: .integrity)?.level ?? .medium,
            logonSession: 1)
        fields.isUserDenyOnly = try flag(.userDenyOnly)
        fields.groups = try groups(.groups)
        fields.restrictingSIDs = try groups(.restricted)
        fields.isWriteRestricted = try flag(.writeRestricted)
        fields.deviceGroups = try groups(.deviceGroups)
        fields.appContainer = try json.decodeIfPresent(BatchSID.self, forKey: .appContainer)?.sid
        fields.capabilities = try groups(.capabilities)
        fields.isLowPrivilegeContainer = try flag(.lowPrivilege)
        if let policy = try json.decodeIfPresent(BatchNumber.self, forKey: .policy) {
            fields.mandatoryPolicy = Token.MandatoryTokenPolicy(rawValue: policy.value)
        }
        let privileges = try json.decodeIfPresent([BatchPrivilege].self, forKey: .privileges) ?? []
        fields.privileges = Token.Privileges(
            present: PrivilegeSet(privileges.map(\.privilege)),
            enabled: PrivilegeSet(privileges.filter(\.isEnabled).map(\.privilege)))
        if let claims = try json.decodeIfPresent(BatchClaims.self, forKey: .claims) {
            (fields.userClaims, fields.deviceClaims, fields.localClaims) = (claims.user, claims.device, claims.local)
        }
        do {
            token = try Token(fields)
        } catch { throw BatchError("token: more than \(Token.maximumGroups) SIDs in a list") }
    }
}

/// A group: a SID, or a SID with attributes.
struct BatchGroup: Decodable {
    private enum Key: String, CodingKey, CaseIterable { case sid, attributes }

    let group: Token.Group

    init(from decoder: any Decoder) throws {
        if (try? decoder.singleValueContainer().decode(String.self)) != nil {
            group = Token.Group(try BatchSID(from: decoder).sid)
            return
        }
        let fields = try decoder.fields(Key.self)
        let attributes = try fields.decodeIfPresent(BatchNumber.self, forKey: .attributes)
        group = Token.Group(
            try fields.decode(BatchSID.self, forKey: .sid).sid,
            attributes.map { Token.Group.Attributes(rawValue: $0.value) } ?? .usual)
    }
}

/// A privilege: its name or number, or that with whether it is enabled.
struct BatchPrivilege: Decodable {
    private enum Key: String, CodingKey, CaseIterable { case privilege, enabled }

    let privilege: Privilege
    let isEnabled: Bool

    init(from decoder: any Decoder) throws {
        if let privilege = try Self.privilege(decoder) {
            (self.privilege, isEnabled) = (privilege, true)
            return
        }
        let fields = try decoder.fields(Key.self)
        guard let privilege = try Self.privilege(fields.superDecoder(forKey: .privilege)) else {
            throw BatchError("privileges: a name or a number")
        }
        self.privilege = privilege
        isEnabled = try fields.decodeIfPresent(Bool.self, forKey: .enabled) ?? true
    }

    /// - Returns: `nil` for what is neither text nor number.
    private static func privilege(_ decoder: any Decoder) throws -> Privilege? {
        let container = try decoder.singleValueContainer()
        let found: Privilege?
        let text: String
        if let number = try? container.decode(UInt32.self) {
            (found, text) = (Privilege(rawValue: number), "\(number)")
        } else if let name = try? container.decode(String.self) {
            (found, text) = (Privilege(name: name), name)
        } else {
            return nil
        }
        guard let found else { throw BatchError("privileges: there is no privilege \(text)") }
        return found
    }
}

/// An integrity level: its name, its number, or its SID.
struct BatchIntegrity: Decodable {
    let level: IntegrityLevel

    private static let names: [String: IntegrityLevel] = [
        "untrusted": .untrusted, "low": .low, "medium": .medium, "mediumplus": .mediumPlus, "high": .high,
        "system": .system,
    ]

    init(from decoder: any Decoder) throws {
        let text = try? decoder.singleValueContainer().decode(String.self)
        if let text, let level = Self.names[text.lowercased()] {
            self.level = level
        } else if let sid = text.flatMap(SID.init(_:)) {
            guard sid.authority == 16, let rid = sid.rid else { throw BatchError("integrity: \(sid) is no level") }
            level = IntegrityLevel(rawValue: rid)
        } else {
            level = IntegrityLevel(rawValue: try BatchNumber(from: decoder).value)
        }
    }
}
