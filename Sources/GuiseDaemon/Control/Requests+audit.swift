import AccessControl
import GuiseProtocol

/// What of the control protocol goes on record: who changed what, and who was refused.
extension Requests {
    /// Answers a request, and puts on record what came of it.
    func answer(
        _ request: WireRequest, _ descriptor: Int32?, from client: ControlClient
    ) throws(Refused) -> Answer {
        do throws(Refused) {
            let answer = try perform(request, descriptor, from: client)
            switch answer {
            case .later(let work):
                return .later(record(request, client).keeping(work))
            case .lookingUp(let work, let conclusion):
                return .lookingUp(record(request, client).keeping(work), then: conclusion)
            default:
                if request.body?.change != nil { record(request, client).keep(nil) }
                return answer
            }
        } catch {
            if error.reason == .accessDenied, !error.isOnRecord { record(request, client).keep(error) }
            throw error
        }
    }

    private func record(_ request: WireRequest, _ client: ControlClient) -> Record {
        Record(audit: context.audit, event: event(.accessAudited, client), body: request.body)
    }

    /// Puts on record what was decided for a request on the control thread.
    func keep(_ trail: DecisionTrail, of call: String, _ client: ControlClient) {
        guard !trail.isEmpty else { return }
        var event = event(.accessAudited, client)
        event.call = call
        context.audit.record(trail, as: event)
    }

    /// Puts on record what was refused for a request on the control thread.
    ///
    /// - Returns: the refusal, which is on record now.
    func keep(
        _ refused: Refused, _ trail: DecisionTrail, of call: String, _ client: ControlClient
    ) -> Refused {
        keep(trail, of: call, client)
        guard refused.reason == .accessDenied else { return refused }
        var event = event(.accessDenied, client)
        event.call = call
        event.rule = refused.message
        event.wanted = trail.refusal?.wanted
        event.refused = trail.refusal?.missing
        context.audit.record(event)
        var refused = refused
        refused.isOnRecord = true
        return refused
    }

    /// An event about a process that asked.
    func event(_ kind: AuditEvent.Kind, _ client: ControlClient) -> AuditEvent {
        var event = AuditEvent(kind)
        event.process = client.pid
        event.by = (known(client) ?? (try? logon(client)))?.token.token.user
        event.service =
            (client.attachment?.service ?? context.processes.service(of: client.identity))?.accountName
        return event
    }
}

/// What goes on record of one request.
private struct Record: Sendable {
    let audit: Audit
    /// As all of the request's events are.
    let event: AuditEvent
    let body: WireRequest.OneOf_Body?

    /// The same work, and its record.
    func keeping(_ work: @escaping Requests.Work) -> Requests.Work {
        { trail throws(Refused) in
            do throws(Refused) {
                let body = try work(trail)
                keep(nil, trail)
                return body
            } catch {
                keep(error, trail)
                throw error
            }
        }
    }

    /// Puts on record what was decided, and what was changed or, if it was for want of a right, refused.
    func keep(_ refused: Refused?, _ trail: DecisionTrail? = nil) {
        let hasTrail = trail?.isEmpty == false
        let change = body?.change
        guard hasTrail || refused?.reason == .accessDenied || refused == nil && change != nil else { return }
        var event = event
        event.call = body?.name
        if let trail { audit.record(trail, as: event) }
        event.path = body?.path.map { Array($0.utf8) }
        event.change = change?.text
        if let refused {
            guard refused.reason == .accessDenied else { return }
            event.kind = .accessDenied
            event.rule = refused.message
            event.wanted = trail?.refusal?.wanted
            event.refused = trail?.refusal?.missing
        } else if let change {
            event.kind = change.kind
        } else {
            return
        }
        audit.record(event)
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
        case .endpointAdd(let request): "@" + request.name
        case .endpointRemove(let request): "@" + request.name
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
        case .keytabSet(let request):
            let words = request.delegate ? ["for delegation"] : []
            return (.accountChanged, Self.joined(["set the keytab of \(request.account)"] + words, []))
        case .rootAdd(let request):
            let words = ["add"] + (request.adopt ? ["adopt"] : [])
            return (.rootChanged, Self.joined(words, [("descriptor", [request.sddl].filter { !$0.isEmpty })]))
        case .rootRemove:
            return (.rootChanged, "remove")
        case .endpointAdd(let request):
            return (.descriptorChanged, "register \(request.sddl)")
        case .endpointRemove:
            return (.descriptorChanged, "give up")
        case .descriptorSet(let request):
            let set = request.binary.isEmpty ? nil : try? SecurityDescriptor(bytes: Array(request.binary))
            return (.descriptorChanged, "set \(set?.sddl() ?? request.sddl)")
        case .propagate:
            return (.descriptorChanged, "propagate")
        case .issuerAdd(let request):
            let issuer = request.issuer
            return (
                .mappingChanged,
                Self.joined(
                    [
                        "trust \(issuer.kind) issuer \(issuer.name)", issuer.identity,
                        "unmapped \(issuer.unmappedAnonymous ? "anonymous" : "refused")",
                    ].filter { !$0.isEmpty },
                    [
                        ("audience", issuer.audiences), ("algorithm", issuer.algorithms),
                        ("service", issuer.anyService ? ["any"] : issuer.services),
                    ])
            )
        case .issuerRemove(let request):
            return (.mappingChanged, "distrust issuer \(request.name)")
        case .mappingAdd(let request):
            let value = request.byName ? "name@\(request.value)" : request.value
            return (
                .mappingChanged,
                Self.joined(
                    ["add to \(request.issuer)", "\(request.attribute) \(value)"],
                    [("is", request.accounts)])
                    + (request.accounts.isEmpty ? ", refuse" : "")
            )
        case .mappingRemove(let request):
            return (.mappingChanged, "remove rule \(request.id)")
        default:
            return nil
        }
    }

    private static func joined(_ words: [String], _ lists: [(String, [String])]) -> String {
        let texts = lists.filter { !$0.1.isEmpty }.map { "\($0.0) \($0.1.joined(separator: " "))" }
        return (words + texts).joined(separator: ", ")
    }
}
