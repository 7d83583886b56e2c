import AccessControl
import GuiseProtocol

/// What of the control protocol goes on record: who changed what, and who was refused.
extension Requests {
    /// Answers a request, and puts on record what came of it.
    func answer(
        _ request: WireRequest, _ descriptor: Int32?, from client: ControlClient
    ) throws(Refused) -> Answer {
        trail.clear()
        do throws(Refused) {
            let answer = try perform(request, descriptor, from: client)
            recordTrail(request, client)
            guard let change = request.body?.change else { return answer }
            var event = event(change.kind, client)
            event.call = request.body?.name
            event.path = request.body?.path.map { Array($0.utf8) }
            event.change = change.text
            guard case .later(let work) = answer else {
                context.audit.record(event)
                return answer
            }
            return .later { [audit = context.audit, event] () throws(Refused) in
                do throws(Refused) {
                    let body = try work()
                    audit.record(event)
                    return body
                } catch {
                    audit.record(error, of: event)
                    throw error
                }
            }
        } catch {
            recordTrail(request, client)
            if error.reason == .accessDenied {
                var event = event(.accessDenied, client)
                event.call = request.body?.name
                event.path = request.body?.path.map { Array($0.utf8) }
                event.wanted = trail.refusal?.wanted
                event.refused = trail.refusal?.missing
                context.audit.record(error, of: event)
            }
            throw error
        }
    }

    /// An event about a process that asked.
    func event(_ kind: AuditEvent.Kind, _ client: ControlClient) -> AuditEvent {
        var event = AuditEvent(kind)
        event.process = client.pid
        event.by = (try? logon(client))?.token.token.user
        event.service =
            (client.attachment?.service ?? context.processes.service(of: client.identity))?.accountName
        return event
    }

    private func recordTrail(_ request: WireRequest, _ client: ControlClient) {
        guard !trail.isEmpty else { return }
        var event = event(.accessAudited, client)
        event.call = request.body?.name
        context.audit.record(trail, as: event)
    }
}

extension Audit {
    /// Puts a request that was refused on record, if it was for want of a right.
    fileprivate func record(_ error: Refused, of event: AuditEvent) {
        guard error.reason == .accessDenied else { return }
        var event = event
        event.kind = .accessDenied
        event.rule = error.message
        record(event)
    }
}

extension WireRequest.OneOf_Body {
    /// As docs/protocol.md names it: `AccountAdd`.
    fileprivate var name: String {
        let label = Mirror(reflecting: self).children.first?.label ?? "status"
        return label.prefix(1).uppercased() + label.dropFirst()
    }

    fileprivate var path: String? {
        switch self {
        case .rootAdd(let request): request.path
        case .rootRemove(let request): request.path
        case .descriptorGet(let request): request.path
        case .descriptorSet(let request): request.path
        case .propagate(let request): request.path
        default: nil
        }
    }

    /// What the request changes, for people; nil: nothing that goes on record.
    fileprivate var change: (kind: AuditEvent.Kind, text: String)? {
        switch self {
        case .accountAdd(let request):
            let account = request.account
            var words = ["add \(account.kind) \(account.name)"]
            if account.hasUnixID { words.append("id \(account.unixID)") }
            if account.hasUnixGroup { words.append("gid \(account.unixGroup)") }
            if account.hasIntegrity {
                words.append("integrity \(IntegrityLevel(rawValue: account.integrity))")
            }
            return (
                .accountChanged,
                Self.joined(words, [("grant", account.privileges), ("join", account.groups)])
            )
        case .accountRemove(let request):
            return (.accountChanged, "remove \(request.name)")
        case .accountChange(let request):
            var words = ["change \(request.name)"]
            switch request.integrity {
            case .level(let level): words.append("integrity \(IntegrityLevel(rawValue: level))")
            case .usualIntegrity: words.append("integrity as usual")
            case nil: break
            }
            return (
                .accountChanged,
                Self.joined(
                    words,
                    [
                        ("grant", request.grant), ("revoke", request.revoke), ("join", request.join),
                        ("leave", request.leave),
                    ])
            )
        case .rootAdd(let request):
            let words = ["add"] + (request.adopt ? ["adopt"] : [])
            return (.rootChanged, Self.joined(words, [("descriptor", [request.sddl].filter { !$0.isEmpty })]))
        case .rootRemove:
            return (.rootChanged, "remove")
        case .descriptorSet(let request):
            let set = request.binary.isEmpty ? nil : try? SecurityDescriptor(bytes: Array(request.binary))
            return (.descriptorChanged, "set \(set?.sddl() ?? request.sddl)")
        case .propagate:
            return (.descriptorChanged, "propagate")
        default:
            return nil
        }
    }

    private static func joined(_ words: [String], _ lists: [(String, [String])]) -> String {
        let texts = lists.filter { !$0.1.isEmpty }.map { "\($0.0) \($0.1.joined(separator: " "))" }
        return (words + texts).joined(separator: ", ")
    }
}
