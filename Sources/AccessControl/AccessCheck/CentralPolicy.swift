/// A central access policy: rules kept apart from the objects, which name it by an id in their SACLs
/// (MS-DTYP 2.4.4.16, MS-GPCAP).
public struct CentralPolicy: Sendable {
    /// The id, `S-1-17-…`.
    public let id: SID
    /// The rules; each one that applies to an object narrows what may be done with it.
    public let rules: [Rule]

    /// Makes a policy.
    public init(id: SID, rules: [Rule]) { (self.id, self.rules) = (id, rules) }

    /// A rule of a central access policy.
    public struct Rule: Sendable {
        /// The name, for explanations.
        public let name: String
        /// To which objects the rule applies, in terms of resource attributes; to all if `nil`.
        public let appliesTo: Condition?
        /// What is granted at most.
        public let dacl: ACL
        /// What is to be granted at most one day; evaluated and reported only.
        public let stagedDACL: ACL?

        let appliesToBytes: [UInt8]
        let daclBytes: [UInt8]
        let stagedBytes: [UInt8]?

        /// Makes a rule.
        public init(name: String, appliesTo: Condition? = nil, dacl: ACL, stagedDACL: ACL? = nil) {
            (self.name, self.appliesTo, self.dacl, self.stagedDACL) = (name, appliesTo, dacl, stagedDACL)
            appliesToBytes = appliesTo?.bytes ?? []
            daclBytes = dacl.bytes
            stagedBytes = stagedDACL?.bytes
        }
    }

    /// What stands for a policy that an object names and nobody knows: owner, Administrators and SYSTEM only.
    static let recovery: [UInt8] = {
        let all: UInt32 = 0x1000_0000
        let aces: [ACE] = [.allow(.administrators, all), .allow(.system, all), .allow(.ownerRights, all)]
        return ((try? ACL(aces)) ?? .empty).bytes
    }()
}

extension Evaluation {
    /// Stage 7: the central access policies that the SACL names; each applicable rule narrows `tally`.
    ///
    /// - Parameter staged: whether to judge by what the rules are to be, where they say so.
    /// - Returns: whether any rule has a staged form.
    func applyPolicies<T: Tally>(
        _ policies: [CentralPolicy], to tally: inout T, fresh: T, _ subject: ObjectSubject, staged: Bool
    ) -> Bool {
        guard let sacl = view.rawSACL else { return false }
        var hasStaged = false
        var cursor = sacl.makeCursor()
        while let ace = cursor.next() {
            guard ace.type == .scopedPolicyID, !ace.flags.contains(.inheritOnly) else { continue }
            let sid = ace.sid
            guard let index = policies.firstIndex(where: { sid == $0.id }) else {
                narrow(&tally, CentralPolicy.recovery, fresh, subject, .policy(-1, rule: -1))
                continue
            }
            for (number, rule) in policies[index].rules.enumerated() where applies(rule) {
                if rule.stagedBytes != nil { hasStaged = true }
                let bytes = staged ? rule.stagedBytes ?? rule.daclBytes : rule.daclBytes
                narrow(&tally, bytes, fresh, subject, .policy(index, rule: number))
            }
        }
        return hasStaged
    }

    private func narrow<T: Tally>(
        _ tally: inout T, _ list: [UInt8], _ fresh: T, _ subject: ObjectSubject, _ layer: Layer
    ) {
        list.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            let other = passes(RawACL(start: start), fresh, subject)
            tally.intersect(with: other, keeping: 0, layer: layer)
        }
    }

    /// A rule applies where its condition is known to hold.
    private func applies(_ rule: CentralPolicy.Rule) -> Bool {
        guard rule.appliesTo != nil else { return true }
        return rule.appliesToBytes.withUnsafeBytes { code in
            var budget = ConditionCode.workBudget
            return ConditionEvaluator(
                code: code, token: token, sacl: view.rawSACL, roles: .allow, denying: false
            ).evaluate(budget: &budget) == .yes
        }
    }
}
