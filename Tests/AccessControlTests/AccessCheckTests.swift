import AccessControl
import Testing

@Suite struct AccessCheckStages {
    static let alice = SID(("S-1-5-21-1-2-3-1001"))!
    static let bob = SID(("S-1-5-21-1-2-3-1002"))!

    func descriptor(_ aces: [ACE], owner: SID = .system) throws -> SecurityDescriptor {
        SecurityDescriptor(owner: owner, group: .system, dacl: .present(try ACL(aces)))
    }

    func token(
        _ user: SID, _ groups: [SID] = [.everyone], privileges: PrivilegeSet = [],
        integrity: IntegrityLevel = .medium
    ) throws -> Token {
        try Token(
            user: user, groups: groups.map { Token.Group($0) }, privileges: privileges, integrity: integrity,
            logonSession: 1)
    }

    typealias Files = AccessCheck<FileKind>

    @Test func theFirstEntryThatNamesABitDecidesIt() throws {
        let alice = try token(Self.alice)
        let denyFirst = try descriptor([.deny(.everyone, 1), .allow(Self.alice, 3)])
        #expect(try !Files.decide(denyFirst, token: alice, desired: .readData).isAllowed)
        #expect(try Files.decide(denyFirst, token: alice, desired: .writeData).isAllowed)
        let allowFirst = try descriptor([.allow(Self.alice, 3), .deny(.everyone, 1)])
        #expect(try Files.decide(allowFirst, token: alice, desired: [.readData, .writeData]).isAllowed)
    }

    @Test func theOwnerMayReadAndChangeTheDACL() throws {
        let owned = try descriptor([], owner: Self.alice)
        let alice = try token(Self.alice)
        #expect(try Files.decide(owned, token: alice, desired: [.readControl, .writeDAC]).isAllowed)
        #expect(
            try Files.decide(owned, token: alice, desired: .maximumAllowed).granted == [
                .readControl, .writeDAC,
            ])
        let spoken = try descriptor([.allow(.ownerRights, 1)], owner: Self.alice)
        #expect(try Files.decide(spoken, token: alice, desired: .maximumAllowed).granted == .readData)
    }

    @Test func labelsRefuseWritingFromBelow() throws {
        let open = try descriptor([.allow(.everyone, .genericAll as AccessMask<FileKind>)])
        let low = try token(Self.alice, integrity: .low)
        #expect(try !Files.decide(open, token: low, desired: .writeData).isAllowed)
        #expect(
            try Files.decide(open, token: low, desired: [.readData, .readControl, .synchronize]).isAllowed)
    }

    @Test func nullGrantsAllEmptyNothing() throws {
        let alice = try token(Self.alice)
        let null = SecurityDescriptor(owner: .system, group: nil, dacl: .null)
        #expect(try Files.decide(null, token: alice, desired: .allAccess).isAllowed)
        let empty = SecurityDescriptor(owner: .system, group: nil, dacl: .present(.empty))
        #expect(try !Files.decide(empty, token: alice, desired: .readData).isAllowed)
        #expect(try Files.decide(empty, token: alice, desired: []).isAllowed)
    }

    @Test func withoutAnOwnerThereIsNoAnswer() throws {
        let none = SecurityDescriptor(owner: nil, group: nil, dacl: .null)
        #expect(throws: AccessCheckError.noOwner) {
            try Files.decide(none, token: try token(Self.alice), desired: .readData)
        }
    }
}
