import AccessControl
import GuiseProtocol

/// What tokens say, and what they are granted.
extension Requests {
    func queryToken(_ request: WireQueryToken, _ client: ControlClient) throws(Refused) -> Answer {
        guard let held = client.captures[request.token], let object = held.object else {
            throw Refused(.notFound, "there is no token \(request.token)")
        }
        guard held.granted.contains(.query) else {
            throw Refused(
                .accessDenied, "the token was opened for \(held.granted), and this takes TOKEN_QUERY")
        }
        let granted = held.granted
        let session = context.sessions.session(object.token.logonSession)
        let directory = accounts.directory
        return .later { _ throws(Refused) in
            .tokenInformation(WireTokenInformation(object, granted, session, directory))
        }
    }

    func checkToken(_ request: WireCheckToken, _ client: ControlClient) throws(Refused) -> Answer {
        let token = try questioned(request, client)
        switch request.question {
        case .member(let text):
            guard let sid = SID(text) else { throw Refused(.badRequest, "\(quoted(text)) is no SID") }
            return .now(.tokenChecked(.with { $0.result = token.isMember(of: sid) }))
        case .privileges(let question):
            let wanted = question.luids.map(Privilege.init(rawValue:))
            let held = wanted.map { $0.map(token.holds) ?? false }
            guard !held.isEmpty else { throw Refused(.badRequest, "say which privileges are meant") }
            return .now(
                .tokenChecked(
                    .with { $0.result = question.any ? held.contains(true) : !held.contains(false) }))
        case .access(let question):
            if question.audit, !(try logon(client)).token.token.holds(.audit) {
                throw Refused(
                    .noPrivilege,
                    "this process does not hold SeAuditPrivilege, so what it decides is not put on record")
            }
            var event = event(.accessAudited, client)
            event.call = "CheckToken"
            event.user = token.user
            event.path = Array(question.object.utf8)
            let isAlive = context.sessions.isAlive(token.logonSession)
            return .later { [audit = context.audit, event] _ throws(Refused) in
                .tokenChecked(try question.decide(for: token, isSessionAlive: isAlive, audit, event))
            }
        case nil:
            throw Refused(.badRequest, "say what is to be found out about the token")
        }
    }

    /// The token that a question is about: usable from level Identification on.
    private func questioned(_ request: WireCheckToken, _ client: ControlClient) throws(Refused) -> Token {
        let (token, level): (Token, ImpersonationLevel)
        if request.token != 0 {
            guard let held = client.captures[request.token], let object = held.object else {
                throw Refused(.notFound, "there is no token \(request.token)")
            }
            guard held.granted.contains(.query) else {
                throw Refused(
                    .accessDenied, "the token was opened for \(held.granted), and this takes TOKEN_QUERY")
            }
            (token, level) = (object.token, object.usableLevel)
        } else if request.handle != 0 {
            guard let handle = try attachment(client).handle(request.handle) else {
                throw Refused(
                    .accessDenied, "the thread acts under an identity that is gone; call revertToSelf()")
            }
            (token, level) = (handle.token.token, handle.token.level)
        } else {
            return try logon(client).token.token
        }
        guard level > .anonymous else {
            throw Refused(.accessDenied, "the token is at level Anonymous: there is nobody to decide for")
        }
        return token
    }
}

extension WireAccessQuestion {
    /// - Parameter event: as the one that goes on record is.
    fileprivate func decide(
        for token: Token, isSessionAlive: Bool, _ audit: Audit, _ event: AuditEvent
    ) throws(Refused) -> WireTokenChecked {
        switch kind {
        case .file: try decide(FileKind.self, token, isSessionAlive, audit, event)
        case .pipe: try decide(PipeKind.self, token, isSessionAlive, audit, event)
        case .key: try decide(RegistryKeyKind.self, token, isSessionAlive, audit, event)
        case .token: try decide(TokenKind.self, token, isSessionAlive, audit, event)
        case .process: try decide(ProcessKind.self, token, isSessionAlive, audit, event)
        case .thread: try decide(ThreadKind.self, token, isSessionAlive, audit, event)
        case .directoryObject: try decide(DirectoryObjectKind.self, token, isSessionAlive, audit, event)
        case .unspecified, .UNRECOGNIZED:
            throw Refused(.badRequest, "say what kind of object it is")
        }
    }

    private func decide<Kind: ObjectKind>(
        _ kind: Kind.Type, _ token: Token, _ isSessionAlive: Bool, _ audit: Audit, _ event: AuditEvent
    ) throws(Refused) -> WireTokenChecked {
        guard principalSelf.isEmpty || SID(principalSelf) != nil else {
            throw Refused(.badRequest, "\(quoted(principalSelf)) is no SID")
        }
        let bytes = Array(descriptor)
        let wanted = AccessMask<Kind>(rawValue: desired)
        let context = AccessContext(
            intent: AccessIntent(rawValue: UInt8(truncatingIfNeeded: intent)).intersection([
                .backup, .restore,
            ]),
            principalSelf: SID(principalSelf), isSessionAlive: isSessionAlive)
        let decision: AccessDecision<Kind>
        var isAudited = false
        do throws(AccessCheckError) {
            decision = try AccessCheck<Kind>.decide(
                bytes.span.bytes, token: token, desired: wanted, context: context)
            if self.audit {
                isAudited = try !AccessCheck<Kind>.auditEntries(
                    bytes.span.bytes, token: token, desired: wanted, decision: decision, context: context
                ).isEmpty
            }
        } catch { throw Refused(.badRequest, "\(error)") }
        if isAudited {
            var event = event
            event.isSuccess = decision.isAllowed
            if kind == FileKind.self || kind == PipeKind.self {
                event.wanted = AccessMask(rawValue: wanted.rawValue)
                if decision.isAllowed { event.granted = AccessMask(rawValue: decision.granted.rawValue) }
            } else {
                event.change = "wanted \(wanted)"
            }
            audit.record(event)
        }
        return .with {
            $0.result = decision.isAllowed
            $0.granted = decision.granted.rawValue
            $0.privilegesUsed = decision.privilegesUsed.map(\.rawValue)
        }
    }
}

extension WireTokenInformation {
    /// May ask the name service switch.
    fileprivate init(
        _ object: TokenObject, _ granted: AccessMask<TokenKind>, _ session: LogonSession?,
        _ directory: AccountDirectory
    ) {
        self.init()
        let token = object.token
        view =
            if let level = object.level {
                WireTokenView(
                    Token.Impersonation(token, level: level), credentials: object.credentials.left(by: token),
                    names: directory)
            } else {
                WireTokenView(
                    Token.Primary(token), credentials: object.credentials.left(by: token), names: directory)
            }
        owner = WireSidName(token.defaultOwner, directory)
        if let group = token.defaultGroup { primaryGroup = WireSidName(group, directory) }
        if let dacl = token.defaultDACL {
            let descriptor = SecurityDescriptor(owner: nil, group: nil, dacl: .present(dacl))
            defaultDacl = .init(descriptor.bytes)
        }
        if granted.contains(.querySource) { (sourceName, source) = (token.source.name, token.source.id) }
        id = object.id
        modification = token.modificationID
        origin = session?.creator ?? 0
        if let session { sessionKind = WireSessionKind(session.kind) }
        mandatoryPolicy = UInt32(token.mandatoryPolicy.rawValue)
        userDenyOnly = token.fields.isUserDenyOnly
        userClaims = token.fields.userClaims.map { .init($0.bytes) }
        deviceClaims = token.fields.deviceClaims.map { .init($0.bytes) }
        deviceGroups = token.fields.deviceGroups.map { group in
            .with {
                $0.sid = WireSidName(group.sid, directory)
                $0.attributes = group.attributes.rawValue
            }
        }
        access = granted.rawValue
        filtered = object.isFiltered
        enabledByDefault = token.privileges.enabledByDefault.bits
    }
}

extension WireSessionKind {
    init(_ kind: LogonSession.Kind) {
        self =
            switch kind {
            case .unix: .unix
            case .service: .service
            case .password(.network): .networkLogon
            case .password(.interactive): .interactiveLogon
            case .password(.batch): .batchLogon
            case .password(.service): .serviceLogon
            case .package: .packageLogon
            }
    }
}
