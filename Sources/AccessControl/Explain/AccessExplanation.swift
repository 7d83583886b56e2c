/// Why a decision came out as it did: for every right asked for, what granted or refused it.
public struct AccessExplanation<Kind: ObjectKind>: Hashable, Sendable {
    /// The decision explained; the same that `AccessCheck.decide` gives.
    public let decision: AccessDecision<Kind>
    /// One item for each right asked for; with MAXIMUM_ALLOWED for each right the kind has.
    public let rights: [Right]

    /// What became of one right.
    public struct Right: Hashable, Sendable {
        /// The right: one bit.
        public let mask: AccessMask<Kind>
        /// Whether it is granted; a request is refused as a whole if one right is not.
        public let isGranted: Bool
        /// What granted or refused it.
        public let cause: Cause

        /// The name of the right, or the bit in hexadecimal.
        public var name: String { mask.description }
    }

    /// What granted or refused a right.
    public enum Cause: Hashable, Sendable {
        /// The entry of the DACL at this index, with its SDDL.
        case entry(Int, text: String)
        /// No entry of the DACL grants it.
        case noEntry
        /// The token's user, or a group of it, owns the object.
        case owner
        /// There is no DACL, so that everything is granted.
        case nullDACL
        /// A privilege grants it.
        case privilege(Privilege)
        /// Only a privilege can grant it, and the token does not hold it.
        case missingPrivilege(Privilege)
        /// The object is labelled above the token's integrity.
        case label(IntegrityLevel, MandatoryPolicy, token: IntegrityLevel)
        /// The DACL grants it to the user or a group, but not to a restricting SID.
        case restrictingSIDs
        /// The DACL grants it to the user or a group, but not to the app container.
        case confinement
        /// A rule of a central access policy does not grant it; without a name the policy is not known.
        case policy(rule: String?)
        /// The logon session has ended.
        case sessionEnded
    }
}

extension AccessExplanation.Right {
    /// What would have to change for the right to be granted; `nil` if it is.
    public var remedy: String? {
        guard !isGranted else { return nil }
        switch cause {
        case .entry(let index, _):
            return "entry \(index) no longer naming \(name), or an allow entry before it"
        case .noEntry: return "an allow entry with \(name) for the user or one of its groups"
        case .missingPrivilege(let privilege): return "\(privilege.name), present and enabled"
        case .label(let level, _, _): return "a token of integrity \(level) or above, or a lower label"
        case .restrictingSIDs:
            return "an allow entry with \(name) for a restricting SID, or a token without them"
        case .confinement: return "an allow entry with \(name) for the app container or a capability it has"
        case .policy(.some(let rule)): return "the rule \"\(rule)\" granting \(name)"
        case .policy(.none): return "the central access policy that the object names"
        case .sessionEnded: return "a new logon"
        case .owner, .nullDACL, .privilege: return nil
        }
    }

    /// What granted or refused the right, as a clause.
    public var reason: String {
        switch cause {
        case .entry(let index, let text): "entry \(index) \(text)"
        case .noEntry: "no entry grants it"
        case .owner: "the owner's implicit rights"
        case .nullDACL: "there is no DACL"
        case .privilege(let privilege): privilege.name
        case .missingPrivilege(let privilege): "only \(privilege.name) grants it"
        case .label(let level, _, let token): "the object is labelled \(level), the token is \(token)"
        case .restrictingSIDs: "no restricting SID is granted it"
        case .confinement: "the app container is not granted it"
        case .policy(.some(let rule)): "the central access rule \"\(rule)\" does not grant it"
        case .policy(.none): "the central access policy of the object is not known"
        case .sessionEnded: "the logon session has ended"
        }
    }
}

extension AccessExplanation: CustomStringConvertible {
    /// One line for the decision and one for each right, with what would have to change.
    public var description: String {
        var out = decision.isAllowed ? "allowed: \(decision.granted)" : "denied"
        if !decision.privilegesUsed.isEmpty { out += ", using \(decision.privilegesUsed)" }
        for right in rights {
            out += "\n  \(right.isGranted ? "+" : "-") \(right.name): \(right.reason)"
            if let remedy = right.remedy { out += " (needs \(remedy))" }
        }
        return out
    }

    /// The explanation as one JSON object.
    public var json: String {
        var out = JSONWriter()
        out.object { out in
            out.member("allowed", decision.isAllowed)
            out.member("granted", UInt64(decision.granted.rawValue))
            out.member("privilegesUsed", decision.privilegesUsed.map(\.name))
            out.list("rights", rights) { out, right in
                out.member("right", right.name)
                out.member("mask", UInt64(right.mask.rawValue))
                out.member("granted", right.isGranted)
                right.cause.write(to: &out)
                out.member("reason", right.reason)
                if let remedy = right.remedy { out.member("needs", remedy) }
            }
        }
        return out.text
    }
}

extension AccessExplanation.Cause {
    fileprivate func write(to out: inout JSONWriter) {
        switch self {
        case .entry(let index, let text):
            out.member("by", "entry")
            out.member("index", UInt64(index))
            out.member("ace", text)
        case .noEntry: out.member("by", "noEntry")
        case .owner: out.member("by", "owner")
        case .nullDACL: out.member("by", "nullDACL")
        case .privilege(let privilege):
            out.member("by", "privilege")
            out.member("privilege", privilege.name)
        case .missingPrivilege(let privilege):
            out.member("by", "missingPrivilege")
            out.member("privilege", privilege.name)
        case .label(let level, _, let token):
            out.member("by", "label")
            out.member("label", level.description)
            out.member("token", token.description)
        case .restrictingSIDs: out.member("by", "restrictingSIDs")
        case .confinement: out.member("by", "confinement")
        case .policy(let rule):
            out.member("by", "policy")
            if let rule { out.member("rule", rule) }
        case .sessionEnded: out.member("by", "sessionEnded")
        }
    }
}
