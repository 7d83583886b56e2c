import AccessControl
import Foundation
import Guise
import GuiseProtocol
import Synchronization

/// Tokens that the service opened, by the names that the commands gave them.
enum Tokens {
    static let held = Mutex<[String: TokenHandle]>([:])

    static func token(_ name: String) throws -> TokenHandle {
        guard let token = held.withLock({ $0[name] }) else { throw GuiseError.notFound("no token \(name)") }
        return token
    }

    static func keep(_ token: TokenHandle, as name: String) -> Outcome {
        held.withLock { $0[name] = token }
        return .value("\(token.level?.word ?? "primary") 0x\(String(token.access.rawValue, radix: 16))")
    }

    static func access(_ words: some Sequence<String>) -> AccessMask<TokenKind> {
        var access: AccessMask<TokenKind> = []
        for word in words {
            switch word {
            case "query": access.insert(.query)
            case "duplicate": access.insert(.duplicate)
            case "impersonate": access.insert(.impersonate)
            case "assign": access.insert(.assignPrimary)
            case "privileges": access.insert(.adjustPrivileges)
            case "groups": access.insert(.adjustGroups)
            case "default": access.insert(.adjustDefault)
            case "source": access.insert(.querySource)
            case "all": access.insert(.allAccess)
            case "maximum": access.insert(.maximumAllowed)
            default: break
            }
        }
        return access
    }

    static func text(_ information: TokenInformation) -> String {
        let token = information.description
        func list(_ principals: [TokenDescription.Principal]) -> String {
            principals.map { "\($0.sid)" }.joined(separator: ",")
        }
        return [
            "user=\(token.user.sid)", "level=\(token.level?.word ?? "primary")",
            "integrity=\(token.integrity)", "session=\(token.logonSession)",
            "privileges=\(token.privileges.map(\.name).sorted().joined(separator: ","))",
            "enabled=\(token.enabledPrivileges.map(\.name).sorted().joined(separator: ","))",
            "owner=\(information.owner.sid)", "group=\(information.primaryGroup.map { "\($0.sid)" } ?? "-")",
            "dacl=\(information.defaultDACL?.aces.count ?? -1)",
            "source=\(information.source?.name ?? "-")", "modification=\(information.modificationID)",
            "origin=\(information.origin ?? 0)", "restricting=\(list(information.restrictingSIDs))",
            "write=\(information.isWriteRestricted)", "restrictions=\(information.hasRestrictions)",
            "logon=\(information.logonSID)", "unix=\(token.unixUser.map(String.init) ?? "-")",
            "denied="
                + token.groups.filter { Token.Group.Attributes(rawValue: $0.attributes).contains(.denyOnly) }
                .map { "\($0.principal.sid)" }.joined(separator: ","),
        ].joined(separator: " ")
    }
}

extension Session {
    /// Tokens: opened, copied, changed, asked, and acted under.
    func tokens(_ words: [String]) throws -> Outcome? {
        func list(_ key: String) -> [String] {
            words.first { $0.hasPrefix(key + "=") }
                .map { $0.dropFirst(key.count + 1).split(separator: ",").map(String.init) } ?? []
        }
        func number(_ key: String) -> Int32? { list(key).first.flatMap { Int32($0) } }
        switch words[0] {
        case "tok-open":
            // tok-open KEPT-AS process|thread [pid=N] [tid=N] [self] ACCESS…
            let access = Tokens.access(words)
            return Tokens.keep(
                words[2] == "process"
                    ? try TokenHandle.ofProcess(number("pid"), access: access)
                    : try TokenHandle.ofThread(
                        number("tid"), process: number("pid"), access: access, asSelf: words.contains("self")),
                as: words[1])
        case "tok-logon":
            guard let logon = Server.logons.withLock({ $0[words[2]] }) else { return .errno(ENOENT) }
            return Tokens.keep(logon.handle, as: words[1])
        case "tok-duplicate":
            // tok-duplicate KEPT-AS FROM primary|LEVEL [effective] [ACCESS…]
            let access = Tokens.access(words.dropFirst(4))
            let from = try Tokens.token(words[2])
            return Tokens.keep(
                words[3] == "primary"
                    ? try from.duplicateAsPrimary(access: access == [] ? nil : access)
                    : try from.duplicate(
                        at: ImpersonationLevel(word: words[3])!, access: access == [] ? nil : access,
                        isEffectiveOnly: words.contains("effective")), as: words[1])
        case "tok-restrict":
            // tok-restrict KEPT-AS FROM [deny=SID,…] [remove=NAME,…] [sids=SID,…] [max] [write]
            var restriction: TokenHandle.Restriction = []
            if words.contains("max") { restriction.insert(.disableMaximumPrivilege) }
            if words.contains("write") { restriction.insert(.writeRestricted) }
            return Tokens.keep(
                try Tokens.token(words[2]).restricted(
                    denyOnly: list("deny").map { SID($0)! },
                    removing: PrivilegeSet(list("remove").map { Privilege(name: $0)! }),
                    restrictingTo: list("sids").map { SID($0)! }, restriction), as: words[1])
        case "tok-adjust":
            // tok-adjust NAME PRIVILEGE=on|off|gone…
            var changes: [Privilege: PrivilegeState] = [:]
            for word in words[2...] {
                let parts = word.split(separator: "=").map(String.init)
                changes[Privilege(name: parts[0])!] =
                    parts[1] == "on" ? .enabled : parts[1] == "off" ? .disabled : .removed
            }
            let done = try Tokens.token(words[1]).adjust(changes)
            let previous = done.previous.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: ",")
            return .value("previous \(previous) missing \(done.missing.map(\.name).joined(separator: ","))")
        case "tok-groups":
            var changes: [SID: Bool] = [:]
            for word in words[2...] {
                let parts = word.split(separator: "=").map(String.init)
                changes[SID(parts[0])!] = parts[1] == "on"
            }
            let done = try Tokens.token(words[1]).adjust(groups: changes)
            return .value("missing \(done.missing.map { "\($0)" }.joined(separator: ","))")
        case "tok-set":
            let token = try Tokens.token(words[1])
            switch words[2] {
            case "owner": try token.setOwner(SID(words[3])!)
            case "group": try token.setPrimaryGroup(SID(words[3])!)
            case "integrity": try token.setIntegrity(IntegrityLevel(rawValue: UInt32(words[3])!))
            default: try token.setDefaultDACL(try ACL([.allow(SID(words[3])!, 0x1000_0000)]))
            }
        case "tok-info": return .value(Tokens.text(try Tokens.token(words[1]).information()))
        case "tok-close": try Tokens.token(words[1]).close()
        case "tok-drop": Tokens.held.withLock { _ = $0.removeValue(forKey: words[1]) }
        case "tok-impersonate": try Tokens.token(words[1]).impersonate()
        case "tok-scoped": return try Tokens.token(words[1]).impersonating { perform(Array(words[2...])) }
        case "tok-set-thread": try setThreadToken(try Tokens.token(words[1]))
        case "tok-assign":
            // tok-assign NAME|none tid=N [pid=N]
            try setThreadToken(
                words[1] == "none" ? nil : try Tokens.token(words[1]), thread: number("tid"),
                process: number("pid"))
        case "tok-process": try restrictProcess(to: try Tokens.token(words[1]))
        case "self": try impersonateSelf(at: ImpersonationLevel(word: words[1])!)
        case "anonymous": try impersonateAnonymous()
        case "member": return .value("\(try EffectiveToken.isMember(of: SID(words[1])!))")
        case "tok-member": return .value("\(try Tokens.token(words[1]).isMember(of: SID(words[2])!))")
        case "holds": return .value("\(try EffectiveToken.holds(Privilege(name: words[1])!))")
        case "tok-holds":
            let (one, other) = (Privilege(name: words[2])!, Privilege(name: words[3])!)
            let token = try Tokens.token(words[1])
            return .value("\(try token.holds(one, other)) \(try token.holdsAny(of: one, other))")
        case "check":
            // check SDDL MASK [OBJECT]: with an object it is audited
            let descriptor = try SecurityDescriptor(sddl: words[1])
            let answer = try EffectiveToken.checkAccess(
                to: descriptor, AccessMask<FileKind>(rawValue: UInt32(words[2])!),
                audit: words.count > 3 ? AccessAudit(object: words[3]) : nil)
            return .value("\(answer.isAllowed) \(answer.granted.rawValue)")
        case "sid":
            return .value(try AccountNames.sid(named: words[1...].joined(separator: " "))?.description ?? "-")
        case "sid-name": return .value(try AccountNames.name(of: SID(words[1])!) ?? "-")
        case "tok-time":
            // Nanoseconds for a pair of acting and reverting, after the first.
            let token = try Tokens.token(words[1])
            let count = Int(words[2])!
            func nanoseconds(_ body: () throws -> Void) rethrows -> Int {
                try body()
                let start = ContinuousClock.now
                for _ in 0..<count { try body() }
                return Int((ContinuousClock.now - start) / .nanoseconds(1)) / count
            }
            let set = try nanoseconds {
                try setThreadToken(token)
                revertToSelf()
            }
            let own = try nanoseconds {
                try impersonateSelf()
                revertToSelf()
            }
            return .value("\(set) \(own)")
        case "tok-anew":
            // By which SIDs the process is restricted for the authority, by a connection of its own.
            guard case .thread(let view) = try AuthorityClient().call(.tokenOf(.init())) else {
                return .errno(EBADMSG)
            }
            return .value(view.token.restricting.map(\.sid.sid).joined(separator: ","))
        case "tok-add-root":
            // What only administrators may, by a connection of its own.
            _ = try AuthorityClient().call(.rootAdd(.with { $0.path = words[1] }))
        case "tok-guess":
            // Uses the numbers of another process's handles: tok-guess COUNT
            let client = try AuthorityClient()
            var found = 0
            for number in 1...UInt64(words[1])! {
                for body in [
                    WireRequest.OneOf_Body.queryToken(.with { $0.token = number }),
                    .duplicateToken(.with { $0.token = number }),
                    .assignToken(
                        .with {
                            $0.token = number
                            $0.thread = UInt32(bitPattern: currentThreadID)
                        }),
                ] where (try? client.call(body)) != nil { found += 1 }
            }
            return .value("\(found)")
        case "tok-fill":
            // How many copies of a token could be made of so many; they are closed again.
            let token = try Tokens.token(words[1])
            var made: [TokenHandle] = []
            for _ in 0..<Int(words[2])! {
                guard let one = try? token.duplicate(at: .impersonation) else { break }
                made.append(one)
            }
            return .value("\(made.count)")
        default: return nil
        }
        return .value("")
    }
}
