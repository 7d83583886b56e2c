public import AccessControl
import Dispatch
import GuiseProtocol

/// Lets one service act once as whoever had it issued. For connections that carry the calls of many: each call takes a
/// ticket of its own along, and the service redeems it (``Connection/init(redeeming:authority:)-(_,_)``).
///
/// It is 32 random bytes that mean something to the authority and to whom it leases them, for as long as it runs: which
/// service may redeem it, at which level, until when. Whoever has it before it was used could send it to that service, so
/// it goes over Unix sockets and into no log; afterwards it is worth nothing.
public struct Ticket: Sendable, Hashable {
    /// What is sent to the service.
    public let bytes: [UInt8]
    /// The most that the service may do with the caller's identity.
    public let level: ImpersonationLevel
    /// Who may redeem it.
    public let server: SID
    /// How long it can be redeemed, from when it was issued.
    public let lifetime: Duration

    /// Has a ticket issued for whom the calling thread acts as: the client while it impersonates, else the process. Any
    /// process may ask, attached or not; SeImpersonatePrivilege is the server's to have.
    ///
    /// - Parameters:
    ///   - server: the account that the server runs under, by its name or its SID.
    ///   - level: what the server may do with the identity. nil: as much as the thread itself may, at most
    ///     Impersonation.
    ///   - effectiveOnly: whether groups and privileges that are not enabled are left out of what the server gets.
    ///   - lifetime: 1 to 300 seconds, in whole ones.
    ///   - runtimeDirectory: where `guised` runs, as for ``Authority/attach(runtimeDirectory:enforcement:threads:)``.
    /// - Throws: ``GuiseError/accessDenied(_:)`` for a level above the thread's own, or when the identity is gone;
    ///   ``GuiseError/notFound(_:)`` when there is no such account; ``GuiseError/limitReached(_:)`` when too many
    ///   tickets of this user wait to be used; ``GuiseError/authorityUnreachable(_:)``.
    public static func issue(
        for server: String, level: ImpersonationLevel? = nil, effectiveOnly: Bool = false,
        lifetime: Duration = .seconds(30), runtimeDirectory: String? = nil
    ) throws(GuiseError) -> Ticket {
        let question = try Question(server, level, effectiveOnly, lifetime, runtimeDirectory)
        return try Ticket(question.client.call(question.body()))
    }

    /// Has a ticket issued for whom the calling task acts as, and keeps no thread waiting meanwhile. As
    /// ``issue(for:level:effectiveOnly:lifetime:runtimeDirectory:)-(_,_,_,_,_)``.
    public static func issue(
        for server: String, level: ImpersonationLevel? = nil, effectiveOnly: Bool = false,
        lifetime: Duration = .seconds(30), runtimeDirectory: String? = nil
    ) async throws(GuiseError) -> Ticket {
        // Here, before the first suspension: on the thread that runs this task.
        let question = try Question(server, level, effectiveOnly, lifetime, runtimeDirectory)
        return try Ticket(await question.client.ask(question.body()))
    }

    /// The bytes of a ticket as ``issue(for:level:effectiveOnly:lifetime:runtimeDirectory:)-(_,_,_,_,_)`` gives them to
    /// tasks, for one call of many: they may have been fetched with an earlier one (``TicketPacks``). At least half of
    /// the lifetime is left.
    package static func next(
        for server: String, level: ImpersonationLevel?, effectiveOnly: Bool, lifetime: Duration,
        runtimeDirectory: String?
    ) async throws(GuiseError) -> [UInt8] {
        // Here, before the first suspension: on the thread that runs this task.
        let question = try Question(server, level, effectiveOnly, lifetime, runtimeDirectory)
        let purpose = TicketPacks.Purpose(
            identity: try .current(), server: server, level: level, isEffectiveOnly: effectiveOnly,
            lifetime: lifetime)
        let count: Int
        switch TicketPacks.take(purpose, on: question.client) {
        case .ticket(let bytes): return bytes
        case .none(let wanted): count = wanted
        }
        do throws(GuiseError) {
            guard case .ticketIssued(let issued) = try await question.client.ask(question.body(count)) else {
                throw .authorityFailed("the authority's answer to a request for a ticket makes no sense")
            }
            if count > 1 {
                TicketPacks.keep(issued.others.map(Array.init), purpose, on: question.client)
            }
            return Array(issued.ticket)
        } catch {
            if count > 1 { TicketPacks.keep([], purpose, on: question.client) }
            throw error
        }
    }

    private init(_ answer: WireResponse.OneOf_Body) throws(GuiseError) {
        guard case .ticketIssued(let issued) = answer, let server = SID(issued.server) else {
            throw .authorityFailed("the authority's answer to a request for a ticket makes no sense")
        }
        bytes = Array(issued.ticket)
        level = ImpersonationLevel(issued.level)
        lifetime = .seconds(issued.lifetime)
        self.server = server
    }

    /// What the authority is asked, and on which connection: the handles are those of the one that attached.
    private struct Question {
        let client: AuthorityClient
        private let request: WireTicketIssue

        init(
            _ server: String, _ level: ImpersonationLevel?, _ isEffectiveOnly: Bool, _ lifetime: Duration,
            _ runtimeDirectory: String?
        ) throws(GuiseError) {
            guard lifetime >= .seconds(1), lifetime <= .seconds(300) else {
                throw .invalid("a ticket lives for 1 to 300 seconds")
            }
            let authority = Authority.current
            let handle = try ThreadIdentity.handle(in: authority)
            client =
                if let authority { authority.client } else {
                    try AuthorityClient.ofProcess(runtimeDirectory: runtimeDirectory)
                }
            request = .with {
                $0.server = server
                if let level { $0.level = level.wire }
                $0.effectiveOnly = isEffectiveOnly
                $0.lifetime = UInt32(lifetime.components.seconds)
                $0.handle = handle
            }
        }

        /// - Parameter count: the most tickets that are wanted.
        func body(_ count: Int = 1) -> WireRequest.OneOf_Body {
            var request = request
            request.count = UInt32(count)
            return .ticketIssue(request)
        }
    }
}

extension Ticket: CustomStringConvertible {
    /// What it is for, without what could be used.
    public var description: String { "a ticket for \(server) at \(level)" }
}

extension Connection {
    /// Takes the client of one call, by the ticket that came with it, which is used up whatever comes of it. There is
    /// no socket: the descriptor is -1.
    ///
    /// Of tickets that were issued together the first is redeemed by the authority, and the others by this process. They
    /// stand for the same client, whose token they share.
    ///
    /// - Parameters:
    ///   - ticket: as it came. Anything may have come.
    ///   - authority: nil for ``Authority/current``.
    /// - Throws: ``GuiseError/notFound(_:)`` when the ticket was used, has expired or was never issued by this
    ///   authority; ``GuiseError/accessDenied(_:)`` when it is for another service, or the client's logon session has
    ///   ended; ``GuiseError/notAttached(_:)``; ``GuiseError/authorityLost(_:)``. Whether this service may act as the
    ///   client, ``impersonate(atMost:)`` says.
    public convenience init(redeeming ticket: [UInt8], authority: Authority? = nil) throws(GuiseError) {
        let authority = if let authority { authority } else { try Authority.required() }
        if let capture = TicketLease.redeem(ticket, authority) {
            self.init(server: -1, capture)
            return
        }
        let asked = SteadyClock.nanoseconds
        let answer = try authority.client.call(Self.question(ticket))
        self.init(server: -1, try Capture(redeemed: answer, since: asked, authority))
    }

    /// As ``init(redeeming:authority:)-(_,_)``, and keeps no thread waiting meanwhile.
    public convenience init(
        redeeming ticket: [UInt8], authority: Authority? = nil
    ) async throws(GuiseError) {
        let authority = if let authority { authority } else { try Authority.required() }
        if let capture = TicketLease.redeem(ticket, authority) {
            self.init(server: -1, capture)
            return
        }
        let asked = SteadyClock.nanoseconds
        let answer = try await authority.client.ask(Self.question(ticket))
        self.init(server: -1, try Capture(redeemed: answer, since: asked, authority))
    }

    private static func question(_ ticket: [UInt8]) throws(GuiseError) -> WireRequest.OneOf_Body {
        guard ticket.count == 32 else {
            throw .notFound("a ticket has 32 bytes, and what came has \(ticket.count)")
        }
        return .ticketRedeem(
            .with {
                $0.ticket = .init(ticket)
                $0.lease = true
            })
    }

    /// Ends the calling thread's impersonation if it is this client that it acts as.
    package func revert() {
        if let capture = try? captured(), ThreadIdentity.save().capture === capture { ThreadIdentity.clear() }
    }
}

extension Capture {
    fileprivate convenience init(
        redeemed answer: WireResponse.OneOf_Body, since asked: UInt64, _ authority: Authority
    ) throws(GuiseError) {
        guard case .captured(let captured) = answer else {
            throw .authorityFailed("the authority's answer to a ticket makes no sense")
        }
        self.init(captured, by: authority.client, authority)
        if captured.hasLease { TicketLease.keep(captured.lease, of: self, since: asked) }
    }
}

extension AuthorityClient {
    /// One thread waits for answers: the authority answers a process one question after the other.
    private static let questions = DispatchQueue(label: "guise.questions")

    /// As ``call(_:descriptor:)``, for tasks. One of the threads that run tasks may wait for an answer, which comes sooner than
    /// another thread would be woken up; all others give theirs up meanwhile.
    func ask(_ body: WireRequest.OneOf_Body) async throws(GuiseError) -> WireResponse.OneOf_Body {
        if let answer = try callIfIdle(body) { return answer }
        let result = await withCheckedContinuation { waiting in
            Self.questions.async {
                waiting.resume(returning: Result { () throws(GuiseError) in try self.call(body) })
            }
        }
        return try result.get()
    }
}
