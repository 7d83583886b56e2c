import AccessControl
import Testing

@Suite struct TokenTests {
    static let alice = SID("S-1-5-21-1-2-3-1001")!

    func token(_ change: (inout Token.Fields) -> Void = { _ in }) throws -> Token {
        var fields = Token.Fields(user: Self.alice, logonSession: 1)
        change(&fields)
        return try Token(fields)
    }

    func gate(
        _ service: Token, _ client: Token, _ level: ImpersonationLevel = .impersonation, logon: Bool = false
    ) -> ImpersonationGate.GateRefusal? {
        ImpersonationGate.impersonationGate(
            service: service, client: client, level: level, clientLogonByServiceSession: logon)
    }

    @Test func gatesAreJudgedInOrder() throws {
        let service = try Token(user: .localService, integrity: .high, logonSession: 2)
        let trusted = try Token(
            user: .localService, privileges: [.impersonate], integrity: .high, logonSession: 2)
        let alice = try token()
        let system = try token { $0.integrity = .system }
        #expect(gate(service, alice, .identification) == nil)
        #expect(gate(service, .anonymous) == nil)
        #expect(gate(service, alice) == .noPrivilege)
        #expect(gate(service, alice, logon: true) == nil)
        #expect(gate(trusted, alice) == nil)
        #expect(gate(trusted, system) == .integrity(client: .system, service: .high))
        #expect(gate(trusted, system, .identification) == nil)
        #expect(gate(alice, alice) == nil)
        let restricted = try alice.filtered(restrictingTo: [.everyone])
        #expect(gate(restricted, alice) == .restricted)
        #expect(gate(restricted, restricted) == nil)
        #expect(gate(alice, restricted) == .noPrivilege)
    }

    @Test func restrictedAgainIsWhatARestrictedServiceActsUnder() throws {
        let alice = try token { $0.groups = [Token.Group(.users), Token.Group(.everyone)] }
        let service = try alice.filtered(restrictingTo: [.users, .everyone])
        for sids in [[SID.users], [.users, .everyone], [.null]] {
            #expect(gate(service, try alice.filtered(restrictingTo: sids)) == nil)
        }
        for sids in [[SID.guests], [.users, .guests], [.users, .everyone, Self.alice]] {
            #expect(gate(service, try alice.filtered(restrictingTo: sids)) == .restricted)
        }
        // Restricting writing only is the weaker kind.
        let writing = try alice.filtered(restrictingTo: [.users], writeOnly: true)
        #expect(gate(service, writing) == .restricted)
        #expect(gate(writing, try alice.filtered(restrictingTo: [.users])) == nil)
        // Whose token it is decides first: of another user's the privilege.
        let trusted = try Token(
            user: .localService, privileges: [.impersonate], integrity: .high, logonSession: 2)
        #expect(gate(try trusted.filtered(restrictingTo: [.users]), alice) == nil)
    }

    @Test func whatWasLoweredCountsAsWhatItBeganAs() throws {
        let service = try token()
        let high = try token { $0.integrity = .high }
        let refusal = ImpersonationGate.GateRefusal.integrity(client: .high, service: .medium)
        let lowered = high.lowered(to: .low)
        #expect(lowered.integrity == .low && lowered.startIntegrity == .high)
        #expect(gate(service, lowered) == refusal)
        // Whatever is made of it.
        let copies = [
            lowered.lowered(to: .untrusted), lowered.effectiveOnly, lowered.resettingToDefaults(),
            try lowered.filtered(removing: nil), try high.filtered(integrity: .low),
        ]
        for copy in copies { #expect(gate(service, copy) == refusal) }
        #expect(lowered.lowered(to: .high).integrity == .low)
        // A process that has become it is nothing more.
        #expect(gate(service, lowered.started) == nil && gate(lowered.started, lowered.started) == nil)
        #expect(gate(service, try token { $0.integrity = .low }) == nil)
    }

    @Test func anOwnerThatCannotOwnAnyMoreIsInNobodysWay() throws {
        let token = try token { $0.groups = [Token.Group(.users)] }.filtered(denyOnly: [Self.alice])
        let changed = try token.settingDefaults(owner: nil, group: .users, dacl: .empty)
        #expect(changed.defaultOwner == Self.alice && changed.defaultGroup == .users)
        #expect(try changed.settingDefaults(owner: nil, group: nil, dacl: nil).defaultGroup == .users)
        #expect(throws: TokenError.notAnOwner(Self.alice)) {
            try token.settingDefaults(owner: Self.alice, group: nil, dacl: nil)
        }
    }

    @Test func adjustingRaisesTheModificationID() throws {
        let token = try token {
            $0.privileges = Token.Privileges(present: [.backup, .debug], enabled: [.backup])
            $0.groups = [
                Token.Group(.users), Token.Group(.administrators, [.enabled]),
                Token.Group(.guests, .denyOnly),
            ]
        }
        let adjusted = try token.adjusting(enable: [.debug], disable: [.backup] as PrivilegeSet)
        #expect(adjusted.holds(.debug) && !adjusted.holds(.backup) && adjusted.modificationID == 1)
        #expect(adjusted.resettingToDefaults().holds(.backup))
        #expect(throws: TokenError.noSuchPrivilege(.tcb)) {
            try token.adjusting(enable: [.tcb] as PrivilegeSet)
        }
        #expect(throws: TokenError.mandatoryGroup(.users)) { try token.adjusting(disable: [SID.users]) }
        #expect(throws: TokenError.denyOnlyGroup(.guests)) { try token.adjusting(enable: [SID.guests]) }
        let without = try token.adjusting(disable: [SID.administrators])
        #expect(!without.isMember(of: .administrators) && token.isMember(of: .administrators))
        let removed = token.removing([.debug])
        #expect(throws: TokenError.noSuchPrivilege(.debug)) {
            try removed.adjusting(enable: [.debug] as PrivilegeSet)
        }
    }

    @Test func filteringOnlyTakesAway() throws {
        let token = try token {
            $0.privileges = Token.Privileges(
                present: [.backup, .changeNotify], enabled: [.backup, .changeNotify])
            $0.groups = [Token.Group(.administrators), Token.Group(.users)]
        }
        let filtered = try token.filtered(denyOnly: [.administrators], removing: nil, integrity: .system)
        #expect(
            !filtered.isMember(of: .administrators) && !filtered.holds(.backup)
                && filtered.holds(.changeNotify))
        #expect(filtered.integrity == .medium)
        let twice = try token.filtered(restrictingTo: [.users]).filtered(
            restrictingTo: [.guests], writeOnly: true)
        #expect(twice.isRestricted && !twice.isWriteRestricted && !twice.isMember(of: .users))
    }

    @Test func eachHalfOfALinkedPairKnowsTheOther() throws {
        let whole = try token {
            $0.privileges = Token.Privileges(present: [.backup], enabled: [.backup])
            $0.groups = [Token.Group(.administrators)]
            $0.integrity = .high
        }
        #expect(whole.fields.elevation == .default && whole.fields.linkedToken == nil)
        let less = try whole.filtered(denyOnly: [.administrators], removing: nil, integrity: .medium)
        let (elevated, filtered) = Token.linkedPair(elevated: whole, filtered: less)
        #expect(elevated.fields.elevation == .full && filtered.fields.elevation == .limited)
        let (other, back) = (
            try #require(elevated.fields.linkedToken), try #require(filtered.fields.linkedToken)
        )
        #expect(other.fields.elevation == .limited && other.integrity == .medium && !other.holds(.backup))
        #expect(back.fields.elevation == .full && back.integrity == .high && back.holds(.backup))
        #expect(other.fields.linkedToken == nil && back.fields.linkedToken == nil)
        // Being one of a pair changes no decision.
        for (half, alone) in [(elevated, whole), (filtered, less)] {
            let file = try SecurityDescriptor(sddl: "O:SYD:(A;;FR;;;BA)(A;;FX;;;\(Self.alice))")
            let decisions = try [half, alone].map {
                try AccessCheck<FileKind>.decide(file, token: $0, desired: .maximumAllowed).granted
            }
            #expect(decisions[0] == decisions[1])
        }
        // What was filtered once more is none of the pair.
        let again = try filtered.filtered()
        #expect(again.fields.elevation == .default && again.fields.linkedToken == nil)
    }

    @Test func effectiveOnlyLeavesNoWayToWhatItLeftOut() throws {
        let whole = try token {
            $0.privileges = Token.Privileges(present: [.backup, .restore], enabled: [.restore])
            $0.groups = [Token.Group(.administrators, [.enabledByDefault]), Token.Group(.users)]
        }
        let less = try whole.filtered(denyOnly: [.administrators], removing: nil)
        let (elevated, filtered) = Token.linkedPair(elevated: whole, filtered: less)
        for half in [elevated.effectiveOnly, filtered.effectiveOnly] {
            #expect(half.fields.linkedToken == nil && !half.holds(.backup))
        }
        #expect(elevated.effectiveOnly.groups.map(\.sid) == [.users])
    }

    @Test func duplicatesNeverGoUp() throws {
        let client = Token.Impersonation(try token(), level: .identification)
        #expect(throws: TokenError.levelRaised) { try client.duplicate(at: .impersonation) }
        #expect(throws: TokenError.levelRaised) { try client.primary() }
        #expect(try client.duplicate(at: .anonymous).token.user == .anonymous)
        #expect(client.deciding.user == .anonymous)
    }

    @Test func privilegesHaveTheirWindowsNumbers() {
        #expect(
            Privilege.impersonate.rawValue == 29 && Privilege.impersonate.name == "SeImpersonatePrivilege")
        #expect(Privilege(name: "sebackupprivilege") == .backup && Privilege(name: "SeNonsense") == nil)
        #expect(Privilege.allCases.count == 36)
    }
}
