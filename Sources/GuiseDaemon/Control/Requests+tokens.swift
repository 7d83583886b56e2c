import AccessControl
import CGuise
import Glibc
import GuiseProtocol
import Synchronization

/// Tokens as objects: opening, copying, restricting and adjusting them, and assigning them to threads.
extension Requests {
    /// The longest DACL for new objects, in bytes.
    static let largestDefaultDACL = 4096
    /// In memory an entry takes more than its bytes.
    static let largestDefaultDACLCount = 64

    // MARK: Opening

    func openToken(_ request: WireOpenToken, _ client: ControlClient) throws(Refused) -> Answer {
        let own = try logon(client)
        guard !request.anonymous else {
            let nobody = TokenObject(
                .anonymous, level: .anonymous, credentials: .nobody, of: client.pid,
                holder: own.token.token.user)
            return .now(try hold(nobody, .impersonate, client))
        }
        let pid = request.process == 0 ? client.pid : Int32(bitPattern: request.process)
        let subject = try subject(pid, client)
        let asking = try asking(request.handle, client)
        let wanted = AccessMask<TokenKind>(rawValue: request.access)
        let thread = Int32(bitPattern: request.thread)
        guard thread != 0 else {
            let object =
                subject.service?.primary.current ?? subject.attachment?.primary.current
                ?? TokenObject(subject.logon, of: pid, isFixed: true)
            let granted = try decide(object, wanted, asking)
            return .now(try hold(object, granted, client))
        }
        guard access("/proc/\(pid)/task/\(thread)", F_OK) == 0 else {
            throw Refused(.notFound, "process \(pid) has no thread \(thread)")
        }
        guard let attachment = subject.attachment else { throw Self.noToken(thread) }
        // What the thread runs is read from memory of the process's, which may keep whoever reads it.
        let result = Found()
        return .lookingUp { _ throws(Refused) in
            let identity = attachment.identity(ofThread: thread)
            result.identity.withLock { $0 = identity }
            return .done(.init())
        } then: {
            () throws(Refused) in
            switch result.identity.withLock({ $0 }) {
            case .client(let handle, _):
                try self.open(handle, of: thread, in: attachment, wanted, asking, client)
            case .process, nil: throw Self.noToken(thread)
            case .unknown:
                throw Refused(
                    .accessDenied, "the thread \(thread) acts under an identity that is gone")
            }
        }
    }

    /// What a worker found.
    private final class Found: Sendable {
        let identity = Mutex<EffectiveIdentity?>(nil)
    }

    /// Opens the token that a thread acts under.
    private func open(
        _ handle: ImpersonationHandle, of thread: Int32, in attachment: Attachment,
        _ wanted: AccessMask<TokenKind>, _ asking: Token, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        // As on Windows: there is nothing in it.
        guard handle.token.level > .anonymous else {
            throw Refused(.accessDenied, "the thread \(thread) acts as Anonymous, whose token nobody opens")
        }
        let object = handle.object
        let granted = try decide(object, wanted, asking)
        guard object.isPerThread, !granted.isDisjoint(with: .adjusting) else {
            return try hold(object, granted, client)
        }
        // From here on the thread has one of its own.
        let token = object.token
        let copy = TokenObject(
            token, level: object.level, credentials: object.credentials, of: object.client,
            holder: attachment.logon.token.token.user, charge: try charge(token, client))
        guard
            let own = attachment.open(
                handle.token, copy, credentials: handle.credentials, of: handle.client)
        else { throw Self.tooManyHandles(attachment.pid) }
        do throws(Refused) {
            try attachment.assign(own.number, to: thread, instead: handle.number)
            return try hold(copy, granted, client)
        } catch {
            attachment.close([own.number])
            throw error
        }
    }

    private static func noToken(_ thread: Int32) -> Refused {
        Refused(.notFound, "the thread \(thread) acts under no token: it is its process")
    }

    private static func tooManyHandles(_ pid: Int32) -> Refused {
        Refused(.limit, "process \(pid) has as many handles open as it may, to this token or to all")
    }

    /// The token that decides for a caller's thread.
    private func asking(_ number: UInt64, _ client: ControlClient) throws(Refused) -> Token {
        guard number != 0 else { return try logon(client).token.token }
        guard let handle = try attachment(client).handle(number) else {
            throw Refused(
                .accessDenied, "the thread acts under an identity that is gone; call revertToSelf()")
        }
        guard
            handle.token.level < .impersonation
                || context.sessions.isAlive(handle.token.token.logonSession)
        else { throw Refused(.accessDenied, "the client's logon session has ended") }
        return handle.deciding
    }

    private func decide(
        _ object: TokenObject, _ wanted: AccessMask<TokenKind>, _ asking: Token
    ) throws(Refused) -> AccessMask<TokenKind> {
        guard wanted != [] else { throw Refused(.badRequest, "say what the token is opened for") }
        guard
            let decision = try? AccessCheck<TokenKind>.decide(
                object.descriptor, token: asking, desired: wanted), decision.isAllowed
        else {
            throw Refused(.accessDenied, "the descriptor of the token does not grant \(wanted)")
        }
        let granted = decision.granted
        guard !object.isFixed || granted.isDisjoint(with: .adjusting) || wanted.contains(.maximumAllowed)
        else {
            throw Refused(
                .accessDenied,
                "a process that has not attached has no token of its own to adjust; attach it first")
        }
        return object.isFixed ? granted.subtracting(.adjusting) : granted
    }

    /// Gives a process a handle to a token.
    private func hold(
        _ object: TokenObject, _ granted: AccessMask<TokenKind>, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let number = try client.add(ControlClient.Captured(object, granted))
        return .tokenOpened(
            .with {
                $0.token = number
                if let level = object.level { $0.level = WireLevel(level) }
                $0.access = granted.rawValue
            })
    }

    /// A token that the process holds, opened for this.
    private func held(
        _ number: UInt64, _ right: AccessMask<TokenKind>, _ client: ControlClient
    ) throws(Refused) -> (object: TokenObject, granted: AccessMask<TokenKind>) {
        guard let held = client.captures[number], let object = held.object else {
            throw Refused(.notFound, "there is no token \(number)")
        }
        guard held.granted.isSuperset(of: right) else {
            throw Refused(
                .accessDenied, "the token was opened for \(held.granted), and this takes \(right)")
        }
        return (object, held.granted)
    }

    func charge(_ token: Token, _ client: ControlClient) throws(Refused) -> TokenCharge {
        try tokenMemory.charge(token, to: client.credentials.uid)
    }

    // MARK: Copies

    func duplicateToken(
        _ request: WireDuplicateToken, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let (object, granted) = try held(request.token, .duplicate, client)
        let level = ImpersonationLevel(request.level)
        guard level ?? .impersonation <= object.highest else {
            throw Refused(
                .accessDenied,
                object.level == nil
                    ? "the token was made of one at level \(object.highest), and a copy is not raised above that"
                    : "the token is at level \(object.highest), and a copy is not raised"
                        + (level.map { " to \($0)" } ?? ": a primary token is fully usable"))
        }
        let before = request.effectiveOnly ? object.token.effectiveOnly : object.token
        let token = level == .anonymous ? .anonymous : before
        var access = AccessMask<TokenKind>(rawValue: request.access).mapped
        if access.contains(.maximumAllowed) { access = .allAccess }
        let copy = TokenObject(
            token, level: level, highest: object.highest, credentials: object.credentials, of: object.client,
            holder: try logon(client).token.token.user, isPerThread: request.perThread && level != nil,
            isFiltered: object.isFiltered, charge: try charge(token, client))
        return try hold(copy, access == [] ? granted : access.intersection(.allAccess), client)
    }

    func restrictToken(
        _ request: WireRestrictToken, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let (object, granted) = try held(request.token, .duplicate, client)
        let directory = accounts.directory
        var denied = Set(try sids(request.denyOnly))
        // An account and the Unix user or group behind it are one.
        for sid in denied {
            guard let account = directory.account(sid: sid), let id = account.unixID else { continue }
            denied.insert(account.kind == .group ? .unixGroup(id) : .unixUser(id))
        }
        for group in object.token.groups where !denied.contains(group.sid) {
            guard let account = directory.account(sid: group.sid), account.kind == .group,
                let id = account.unixID, denied.contains(.unixGroup(id))
            else { continue }
            denied.insert(group.sid)
        }
        let (removed, restricting) = (try privileges(request.remove), try sids(request.restricting))
        let token: Token
        do throws(TokenError) {
            token = try object.token.filtered(
                denyOnly: Array(denied), removing: request.disableMaxPrivilege ? nil : removed,
                restrictingTo: restricting, writeOnly: request.writeRestricted)
        } catch { throw Refused(error) }
        let copy = TokenObject(
            token, level: object.level, highest: object.highest, credentials: object.credentials,
            of: object.client, holder: try logon(client).token.token.user, isFiltered: true,
            charge: try charge(token, client))
        return try hold(copy, granted, client)
    }

    private func sids(_ texts: [String]) throws(Refused) -> [SID] {
        var sids: [SID] = []
        for text in texts {
            guard let sid = SID(text) else { throw Refused(.badRequest, "\(quoted(text)) is no SID") }
            sids.append(sid)
        }
        guard sids.count <= Token.maximumGroups else { throw Refused(TokenError.tooManyGroups) }
        return sids
    }

    private func privileges(_ numbers: [UInt32]) throws(Refused) -> PrivilegeSet {
        var set = PrivilegeSet()
        for number in numbers {
            guard let privilege = Privilege(rawValue: number) else {
                throw Refused(.badRequest, "there is no privilege \(number)")
            }
            set.insert(privilege)
        }
        return set
    }

    // MARK: Changing

    func adjustToken(
        _ request: WireAdjustToken, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        let changesGroups = !request.groups.isEmpty || request.resetGroups
        let changesPrivileges = !request.privileges.isEmpty || request.disableAllPrivileges
        var right: AccessMask<TokenKind> = []
        if changesGroups { right.insert(.adjustGroups) }
        if changesPrivileges { right.insert(.adjustPrivileges) }
        guard right != [] else { throw Refused(.badRequest, "say what to adjust") }
        guard request.groups.count <= Token.maximumGroups else { throw Refused(TokenError.tooManyGroups) }
        let object = try held(request.token, right, client).object
        let before = object.token
        var answer = WireTokenAdjusted()
        var token = before
        do throws(TokenError) {
            if changesPrivileges { token = try adjustPrivileges(of: token, request, &answer) }
            if changesGroups { token = try adjustGroups(of: token, request, &answer) }
        } catch { throw Refused(error) }
        answer.privileges = before.privileges.present
            .filter {
                before.privileges.enabled.contains($0) != token.privileges.enabled.contains($0)
                    || !token.privileges.present.contains($0)
            }
            .map { privilege in
                .with {
                    $0.luid = privilege.rawValue
                    $0.attributes = before.privileges.enabled.contains(privilege) ? 2 : 0
                }
            }
        answer.groups = zip(before.groups, token.groups)
            .filter { $0.attributes.contains(.enabled) != $1.attributes.contains(.enabled) }
            .map { group, _ in
                .with {
                    $0.sid = group.sid.description
                    $0.enabled = group.attributes.contains(.enabled)
                }
            }
        try replace(object, token, client)
        return .tokenAdjusted(answer)
    }

    private func adjustPrivileges(
        of token: Token, _ request: WireAdjustToken, _ answer: inout WireTokenAdjusted
    ) throws(TokenError) -> Token {
        guard !request.disableAllPrivileges else {
            return try token.adjusting(disable: token.privileges.enabled)
        }
        var (enabled, disabled, removed) = (PrivilegeSet(), PrivilegeSet(), PrivilegeSet())
        for state in request.privileges {
            guard let privilege = Privilege(rawValue: state.luid),
                token.privileges.present.contains(privilege)
            else {
                answer.missingPrivileges.append(state.luid)
                continue
            }
            // SE_PRIVILEGE_REMOVED and SE_PRIVILEGE_ENABLED; of several wishes the last one counts.
            (enabled, disabled) = (enabled.subtracting([privilege]), disabled.subtracting([privilege]))
            if state.attributes & 4 != 0 {
                removed.insert(privilege)
            } else if state.attributes & 2 != 0 {
                enabled.insert(privilege)
            } else {
                disabled.insert(privilege)
            }
        }
        let adjusted = try token.adjusting(enable: enabled, disable: disabled)
        return removed.isEmpty ? adjusted : adjusted.removing(removed)
    }

    private func adjustGroups(
        of token: Token, _ request: WireAdjustToken, _ answer: inout WireTokenAdjusted
    ) throws(TokenError) -> Token {
        var (enabled, disabled): ([SID], [SID]) = ([], [])
        if request.resetGroups {
            for group in token.groups
            where group.attributes.isDisjoint(with: [.mandatory, .denyOnly]) {
                if group.attributes.contains(.enabledByDefault) {
                    enabled.append(group.sid)
                } else {
                    disabled.append(group.sid)
                }
            }
        } else {
            for state in request.groups {
                guard let sid = SID(state.sid), token.groups.contains(where: { $0.sid == sid }) else {
                    answer.missingGroups.append(state.sid)
                    continue
                }
                if state.enabled { enabled.append(sid) } else { disabled.append(sid) }
            }
        }
        return try token.adjusting(enable: enabled, disable: disabled)
    }

    func setToken(_ request: WireSetToken, _ client: ControlClient) throws(Refused)
        -> WireResponse.OneOf_Body
    {
        let object = try held(request.token, .adjustDefault, client).object
        let before = object.token
        let owner = try sids(request.hasOwner ? [request.owner] : []).first
        let group = try sids(request.hasPrimaryGroup ? [request.primaryGroup] : []).first
        var dacl = before.defaultDACL
        if request.hasDefaultDacl {
            guard request.defaultDacl.count <= Self.largestDefaultDACL else {
                throw Refused(.limit, "a default DACL has at most \(Self.largestDefaultDACL) bytes")
            }
            if request.defaultDacl.isEmpty {
                dacl = nil
            } else {
                guard let set = try? SecurityDescriptor(bytes: Array(request.defaultDacl)) else {
                    throw Refused(.badRequest, "the default DACL is malformed")
                }
                dacl = set.dacl.acl
                guard dacl?.aces.count ?? 0 <= Self.largestDefaultDACLCount else {
                    throw Refused(
                        .limit, "a default DACL has at most \(Self.largestDefaultDACLCount) entries")
                }
            }
        }
        let level = request.hasIntegrity ? IntegrityLevel(rawValue: request.integrity) : before.integrity
        guard level <= before.integrity else {
            throw Refused(
                .accessDenied,
                "the token's integrity level is \(before.integrity), and it is lowered, not raised")
        }
        var token: Token
        do throws(TokenError) {
            token = try before.settingDefaults(owner: owner, group: group, dacl: dacl).lowered(to: level)
        } catch { throw Refused(error) }
        // A process whose own token is lowered is no more than that from here on; a copy goes on to count as what it began as.
        if context.processes.have(object) { token = token.started }
        try replace(object, token, client)
        return .done(.init())
    }

    private func replace(
        _ object: TokenObject, _ token: Token, _ client: ControlClient
    ) throws(Refused) {
        try object.charge { () throws(Refused) in try charge(token, client) }
        object.replace(token)
        guard object.level != nil else { return noteChange { $0.current === object } }
        // Calls that come from now on are not to find what this made of what they share.
        tickets.withdraw { $0.session == token.logonSession }
    }

    /// Processes have copies of their own token; they hear that it has changed. What it has become the process is for as
    /// long as it lives.
    private func noteChange(_ isMeant: (ProcessToken) -> Bool) {
        for case let attachment? in attached.values.map(\.attachment) where isMeant(attachment.primary) {
            context.processes.keepToken(of: attachment)
            attachment.page.tokenVersion &+= 1
            // The gates are asked anew for each call.
            tickets.withdraw(from: attachment)
        }
    }

    /// Takes from processes the handles that the gates would not give them any more.
    private func withdraw(from primary: ProcessToken) {
        let logon = primary.logon
        for holder in attached.values {
            guard let attachment = holder.attachment, attachment.primary === primary else { continue }
            attachment.close { handle in
                let token = handle.token.token
                return ImpersonationGate.impersonationGate(
                    service: logon.token.token, client: token, level: handle.token.level,
                    clientLogonByServiceSession: context.sessions.session(token.logonSession)?
                        .isProven(to: logon.session) == true) != nil
            }
            for (number, captured) in holder.captures {
                holder.captures[number]?.handles = captured.handles.filter {
                    attachment.handle($0.value.number) != nil
                }
            }
        }
    }

    // MARK: Assigning

    func assignToken(_ request: WireAssignToken, _ client: ControlClient) throws(Refused) -> Answer {
        let pid = request.process == 0 ? client.pid : Int32(bitPattern: request.process)
        let thread = Int32(bitPattern: request.thread)
        guard thread != 0 else { return .now(try replacePrimaryToken(request, pid, client)) }
        let subject = try subject(pid, client, .setInformation)
        guard let attachment = subject.attachment, !attachment.isDetached else {
            throw Refused(.badRequest, "process \(pid) has not attached, so its threads act as nobody else")
        }
        guard request.token != 0 else {
            try attachment.assign(0, to: thread)
            return .now(.done(.init()))
        }
        let object = try held(request.token, .impersonate, client).object
        guard let level = object.level else {
            throw Refused(
                .badRequest,
                "a primary token cannot be set on a thread; duplicate it as an impersonation token")
        }
        let token = Token.Impersonation(object.token, level: level)
        try passGates(token, attachment, object.client, client)
        guard
            let handle = attachment.open(
                token, object, credentials: object.credentials.left(by: token.token), of: object.client)
        else { throw Self.tooManyHandles(pid) }
        do throws(Refused) { try attachment.assign(handle.number, to: thread) } catch {
            attachment.close([handle.number])
            throw error
        }
        return .now(.done(.init()))
    }

    /// The gates that every impersonation passes, against the token of the process whose thread it is.
    private func passGates(
        _ token: Token.Impersonation, _ attachment: Attachment, _ pid: Int32, _ client: ControlClient
    ) throws(Refused) {
        let service = attachment.logon
        let session = context.sessions.session(token.token.logonSession)
        guard token.level < .impersonation || context.sessions.isAlive(service.session.id) else {
            throw Refused(.accessDenied, "the logon session of process \(attachment.pid) has ended")
        }
        guard session != nil || token.level == .anonymous || token.token.isAnonymous else {
            throw Refused(.accessDenied, "the client's logon session has ended")
        }
        let isOwnLogon = session?.isProven(to: service.session) == true
        let refusal = ImpersonationGate.impersonationGate(
            service: service.token.token, client: token.token, level: token.level,
            clientLogonByServiceSession: isOwnLogon)
        var event = event(refusal == nil ? .impersonation : .impersonationRefused, client)
        event.call = "AssignToken"
        event.user = token.token.user
        event.level = token.level
        if token.level > .anonymous { event.client = pid }
        if let refusal {
            let refused = Refused(refusal, service: service.token.token, accounts)
            event.rule = refused.message
            context.audit.record(event)
            throw refused
        }
        context.audit.record(event)
        let takesPrivilege = ImpersonationGate.takesPrivilege(
            service: service.token.token, client: token.token, level: token.level,
            clientLogonByServiceSession: isOwnLogon)
        guard takesPrivilege else { return }
        event.kind = .privilegeUsed
        event.privileges = [.impersonate]
        context.audit.record(event)
    }

    /// Gives the caller's process a token that can do less than its own.
    private func replacePrimaryToken(
        _ request: WireAssignToken, _ pid: Int32, _ client: ControlClient
    ) throws(Refused) -> WireResponse.OneOf_Body {
        guard pid == client.pid else {
            throw Refused(.accessDenied, "a process gives up rights of its own, and of no other process")
        }
        let attachment = try attachment(client)
        let object = try held(request.token, .assignPrimary, client).object
        let current = attachment.primary.current
        guard object.level == nil else {
            throw Refused(.badRequest, "a process has a primary token; duplicate this one as that")
        }
        guard object.token.isContained(in: current.token), object.credentials == current.credentials else {
            throw Refused(
                .accessDenied,
                "a process gets no other token than its own, restricted; this one could do more")
        }
        object.replace(object.token.started)
        attachment.primary.current = object
        withdraw(from: attachment.primary)
        noteChange { $0 === attachment.primary }
        return .done(.init())
    }
}

extension AccessMask where Kind == TokenKind {
    /// What changes a token.
    fileprivate static var adjusting: Self { [.adjustPrivileges, .adjustGroups, .adjustDefault] }
}

extension Refused {
    init(_ error: TokenError) {
        switch error {
        case .tooManyGroups:
            self.init(.limit, "a token has at most \(Token.maximumGroups) SIDs of each kind")
        case .mandatoryGroup(let sid):
            self.init(.badRequest, "the group \(sid) is mandatory, so it cannot be disabled")
        case .denyOnlyGroup(let sid):
            self.init(.badRequest, "the group \(sid) is for denying only, so it cannot be enabled")
        case .noSuchGroup(let sid): self.init(.notFound, "the token does not have the group \(sid)")
        case .noSuchPrivilege(let privilege): self.init(.notFound, "the token does not have \(privilege)")
        case .notAnOwner(let sid):
            self.init(.badRequest, "\(sid) is neither the user nor a group that can own objects")
        case .levelRaised: self.init(.accessDenied, "a copy of a token is not raised above its level")
        }
    }
}
