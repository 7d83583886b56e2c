import AccessControl
import Synchronization

/// A token as an object: what every handle to it, and every thread that acts under it, has in common. To adjust it is to
/// adjust it for all of them.
///
/// Changed on the control thread alone, read on any.
package final class TokenObject: Sendable {
    /// Never given twice while the authority runs.
    let id: UInt64
    /// nil: a primary token.
    let level: ImpersonationLevel?
    /// The highest level of a copy: what it was copied from never had a higher one.
    let highest: ImpersonationLevel
    /// The process that it is of, or came from.
    let client: Int32
    let credentials: UnixCredentials
    /// Who may open it, besides its own user.
    private let holder: SID
    /// Threads share it, and each gets its own once somebody is to adjust it.
    let isPerThread: Bool
    let isFiltered: Bool
    /// The token of a process that the authority holds no token for, only the kernel's word: not to be adjusted.
    let isFixed: Bool
    private struct State {
        var token: Token
        var standing: [Standing] = []
        var pruneAt = 16
        /// What of a user's memory it takes; nil while others have it anyway.
        var charge: TokenCharge?
    }
    /// A handle by which threads act under it.
    struct Standing {
        weak var attachment: Attachment?
        let number: UInt64
    }
    private let state: Mutex<State>
    private static let last = Atomic<UInt64>(0)

    init(
        _ token: Token, level: ImpersonationLevel?, highest: ImpersonationLevel = .delegation,
        credentials: UnixCredentials, of client: Int32, holder: SID, isPerThread: Bool = false,
        isFiltered: Bool = false,
        isFixed: Bool = false, charge: TokenCharge? = nil
    ) {
        id = Self.last.add(1, ordering: .relaxed).newValue
        self.level = level
        self.highest = min(highest, level ?? .delegation)
        self.credentials = credentials
        self.client = client
        self.holder = holder
        self.isPerThread = isPerThread
        self.isFiltered = isFiltered
        self.isFixed = isFixed
        state = Mutex(State(token: token, charge: charge))
    }

    /// The primary token of a process.
    convenience init(_ logon: Logon, of client: Int32, isFixed: Bool = false) {
        self.init(
            logon.token.token, level: nil, credentials: logon.credentials, of: client,
            holder: logon.token.token.user, isFixed: isFixed)
    }

    /// The token as it is now.
    var token: Token { state.withLock { $0.token } }

    /// How much of it may be used; a primary token is fully usable.
    var usableLevel: ImpersonationLevel { level ?? .impersonation }

    /// As captures have it.
    var asClient: PeerCapture.Client {
        PeerCapture.Client(pid: client, token: token, credentials: credentials, level: usableLevel)
    }

    /// Puts another token in its place, also for the threads that act under it.
    func replace(_ token: Token) {
        let standing = state.withLock { state in
            state.token = token
            state.standing.removeAll { $0.attachment == nil }
            return state.standing
        }
        guard let level else { return }
        for one in standing {
            _ = one.attachment?.replace(
                one.number, Token.Impersonation(token, level: level),
                credentials: credentials.left(by: token),
                of: client)
        }
    }

    /// Sees to it that what the token takes of memory when it is no other's any more counts for somebody.
    func charge(_ charge: () throws(Refused) -> TokenCharge) throws(Refused) {
        guard state.withLock({ $0.charge }) == nil else { return }
        let made = try charge()
        state.withLock { $0.charge = made }
    }

    /// The most handles to one token.
    private static let largestStandingCount = 1024

    /// Notes a handle by which threads act under it; false when there are as many as there may be.
    func stands(behind number: UInt64, of attachment: Attachment) -> Bool {
        state.withLock { state in
            if state.standing.count >= state.pruneAt {
                state.standing.removeAll { $0.attachment?.handle($0.number) == nil }
                state.pruneAt = max(16, 2 * state.standing.count)
            }
            guard state.standing.count < Self.largestStandingCount else { return false }
            state.standing.append(Standing(attachment: attachment, number: number))
            return true
        }
    }

    /// Who may open it: its own user, whoever's process it was made in, SYSTEM and administrators.
    var descriptor: SecurityDescriptor {
        let token = token
        let all = AccessMask<TokenKind>.allAccess.rawValue
        let entries: [ACE] = [
            .allow(token.user, all), .allow(holder, all), .allow(.system, all), .allow(.administrators, all),
        ]
        // A few short entries fit into any list; if they did not, nobody would have access.
        return SecurityDescriptor(
            owner: token.user, group: nil, dacl: .present((try? ACL(entries)) ?? .empty),
            sacl: .present((try? ACL([.mandatoryLabel(token.integrity)])) ?? .empty))
    }
}

extension UnixCredentials {
    /// What of these somebody may use who has such a token of their owner's; nil: nothing.
    ///
    /// The kernel knows groups and users, and nothing of restricting SIDs: where those decide nothing is open outside
    /// managed roots. A group that does not count any more is left out.
    func left(by token: Token) -> UnixCredentials? {
        guard !token.isRestricted, !token.fields.isUserDenyOnly else { return nil }
        let lost = token.groups.filter {
            !$0.attributes.contains(.enabled) || $0.attributes.contains(.denyOnly)
        }
        guard !lost.isEmpty else { return self }
        // What root may do hangs on none of its groups.
        guard !isRoot else { return nil }
        let sids = Set(lost.map(\.sid))
        guard !sids.contains(.unixUser(uid)), !sids.contains(.unixGroup(gid)) else { return nil }
        return UnixCredentials(uid: uid, gid: gid, groups: groups.filter { !sids.contains(.unixGroup($0)) })
    }
}

/// What the tokens that processes had made for them take of memory, by user.
final class TokenMemory: Sendable {
    /// The most of one user, in bytes.
    static let largestPerUser = 64 << 20
    private let taken = Mutex<[UInt32: Int]>([:])

    /// Takes the room for a token.
    ///
    /// - Throws: `limit` when the user's is used up.
    func charge(_ token: Token, to user: UInt32) throws(Refused) -> TokenCharge {
        // Each SID stands in its list and, hashed, in a table that is at most half full.
        let sids =
            token.groups.count + token.restrictingSIDs.count + token.fields.deviceGroups.count
            + token.fields.capabilities.count
        let size = 2048 + 2 * Requests.largestDefaultDACL + 256 * sids
        let fits = taken.withLock { taken in
            guard taken[user, default: 0] + size <= Self.largestPerUser else { return false }
            taken[user, default: 0] += size
            return true
        }
        guard fits else {
            throw Refused(.limit, "the tokens that uid \(user) had made take too much memory; close some")
        }
        return TokenCharge(memory: self, user: user, size: size)
    }

    fileprivate func giveBack(_ size: Int, of user: UInt32) {
        taken.withLock { taken in
            taken[user, default: size] -= size
            if taken[user] == 0 { taken[user] = nil }
        }
    }
}

/// What one token takes, until it is gone.
final class TokenCharge: Sendable {
    private let memory: TokenMemory
    private let user: UInt32
    private let size: Int

    fileprivate init(memory: TokenMemory, user: UInt32, size: Int) {
        (self.memory, self.user, self.size) = (memory, user, size)
    }

    deinit { memory.giveBack(size, of: user) }
}
