#if Kerberos
    import CGSSAPI
    import Dispatch
    import Glibc
    import GuiseProtocol
    import Synchronization

    /// What one service's clients and the KDC send, judged by GSSAPI.
    ///
    /// What asks nobody comes by lanes of its own (``GSSDescriptor/lanes``), each with a thread that reads, judges and
    /// answers: a KDC that does not answer keeps no client waiting who only has to be verified. A context stays in its
    /// lane.
    final class GSSWorker: Sendable {
        private static let farCount = 4
        private let far = (0..<farCount).map { DispatchQueue(label: "far-\($0)") }
        private let keytab: String
        private let delegates: Bool

        private struct State {
            var contexts: [UInt64: Handle] = [:]
            var credentials: [UInt64: Handle] = [:]
            /// Credentials that a request may yet bring, unless the authority ends them first.
            var awaited: Set<UInt64> = []
            /// The service's own: by whether they negotiate.
            var own: [Bool: Handle] = [:]
        }
        private let state = Mutex(State())

        /// A context or credentials, freed with this.
        private final class Handle: @unchecked Sendable {
            // Sendable by hand: a context is used in its lane alone; GSSAPI lets several threads use credentials.
            var pointer: UnsafeMutableRawPointer?
            private let free: (UnsafeMutableRawPointer) -> Void

            init(
                _ pointer: UnsafeMutableRawPointer?,
                freedBy free: @escaping (UnsafeMutableRawPointer) -> Void
            ) {
                (self.pointer, self.free) = (pointer, free)
            }

            deinit { if let pointer { free(pointer) } }

            static func context() -> Handle { Handle(nil) { guise_gss_context_free($0) } }
            static func credential(_ pointer: UnsafeMutableRawPointer?) -> Handle {
                Handle(pointer) { guise_gss_credential_free($0) }
            }
        }

        /// - Parameters:
        ///   - keytab: as krb5_kt_resolve takes it.
        ///   - delegates: whether the service may ask the KDC to act as its clients elsewhere.
        init(keytab: String, delegates: Bool) { (self.keytab, self.delegates) = (keytab, delegates) }

        /// Serves until the authority is gone.
        func run() -> Never {
            for lane in GSSDescriptor.lanes {
                DispatchQueue(label: "near-\(lane)").async { [self] in
                    serve(lane) { request in
                        guard case .accept(let accept) = request.body else { _exit(1) }
                        expect(accept.credentials)
                        answer(request.id, on: lane) { self.accept(accept, &$0) }
                    }
                }
            }
            serve(GSSDescriptor.authority, take)
        }

        private func serve(_ socket: Int32, _ take: (WireGssRequest) -> Void) -> Never {
            while true {
                let request: WireGssRequest
                do throws(ControlPacket.Failure) {
                    request = try ControlPacket.receive(WireGssRequest.self, from: socket).message
                } catch {
                    switch error {
                    case .system(EINTR): continue
                    case .closed: _exit(0)
                    default: _exit(1)
                    }
                }
                take(request)
            }
        }

        private func take(_ request: WireGssRequest) {
            let id = request.id
            switch request.body {
            case .accept(let accept):
                expect(accept.credentials)
                lane(accept.context).async {
                    self.answer(id) { self.accept(accept, &$0) }
                }
            case .initiate(let initiate):
                lane(initiate.context).async {
                    self.answer(id) { self.initiate(initiate, &$0) }
                }
            case .transition(let transition):
                expect(transition.credentials)
                lane(transition.credentials).async {
                    self.answer(id) { self.transition(transition, &$0) }
                }
            case .endContext(let number):
                // Behind its steps: those of the other lanes are answered before it ends.
                lane(number).async {
                    let ended = self.state.withLock { $0.contexts.removeValue(forKey: number) }
                    withExtendedLifetime(ended) {}
                }
            case .endCredentials(let number):
                let ended = state.withLock { state in
                    state.awaited.remove(number)
                    return state.credentials.removeValue(forKey: number)
                }
                // Freed where nobody waits for it.
                if let ended { far[0].async { withExtendedLifetime(ended) {} } }
            case nil: break
            }
        }

        private func expect(_ credentials: UInt64) {
            state.withLock { _ = $0.awaited.insert(credentials) }
        }

        private func lane(_ number: UInt64) -> DispatchQueue { far[Int(number % UInt64(Self.farCount))] }

        private func answer(
            _ id: UInt64, on socket: Int32 = GSSDescriptor.authority, _ body: (inout WireGssResponse) -> Void
        ) {
            var response = WireGssResponse()
            body(&response)
            response.id = id
            // One packet each: nobody waits for another's.
            do { try ControlPacket.send(response, on: socket) } catch {
                // One that is too long.
                let failed = WireGssResponse.with {
                    $0.id = id
                    $0.failure = "the answer is too long"
                }
                if (try? ControlPacket.send(failed, on: socket)) == nil { _exit(1) }
            }
        }

        // MARK: Steps

        private func accept(_ request: WireGssAccept, _ response: inout WireGssResponse) {
            let context = context(request.context)
            with(&response) { outcome in
                guard let own = own(negotiates: request.negotiate, &outcome) else { return }
                var delegated: UnsafeMutableRawPointer?
                request.token.withUnsafeBytes { token in
                    guise_gss_accept(
                        &context.pointer, own.pointer, token.bindMemory(to: UInt8.self).baseAddress,
                        token.count,
                        &delegated, &outcome)
                }
                keep(delegated, request.credentials, outcome)
            }
            finish(request.context, request.credentials, &response)
        }

        private func initiate(_ request: WireGssInitiate, _ response: inout WireGssResponse) {
            let context = context(request.context)
            guard let credentials = state.withLock({ $0.credentials[request.credentials] }) else {
                response.failure = "the client's credentials are gone"
                return
            }
            with(&response) { outcome in
                request.token.withUnsafeBytes { token in
                    guise_gss_initiate(
                        &context.pointer, credentials.pointer, request.target, request.negotiate,
                        request.flags,
                        token.bindMemory(to: UInt8.self).baseAddress, token.count, &outcome)
                }
            }
            finish(request.context, 0, &response)
        }

        /// What the KDC says of somebody is believed once it comes under this service's own key: a ticket for him to this
        /// service is accepted as any client's would be.
        private func transition(_ request: WireGssTransition, _ response: inout WireGssResponse) {
            with(&response) { outcome in
                guard let own = own(negotiates: false, &outcome),
                    let other = guise_gss_credential_of_other(own.pointer, request.client, &outcome)
                else { return }
                let his = Handle.credential(other)
                let (initiating, accepting) = (Handle.context(), Handle.context())
                var delegated: UnsafeMutableRawPointer?
                guise_gss_verify_own(
                    &initiating.pointer, his.pointer, &accepting.pointer, own.pointer, &delegated, &outcome)
                keep(delegated, request.credentials, outcome)
            }
            finish(0, request.credentials, &response)
        }

        private func keep(
            _ delegated: UnsafeMutableRawPointer?, _ number: UInt64, _ outcome: guise_gss_outcome
        ) {
            guard let delegated else { return }
            let credentials = Handle.credential(delegated)
            guard !outcome.failed else { return }
            state.withLock { state in
                if state.awaited.remove(number) != nil { state.credentials[number] = credentials }
            }
        }

        private func context(_ number: UInt64) -> Handle {
            state.withLock { state in
                if let known = state.contexts[number] { return known }
                let new = Handle.context()
                state.contexts[number] = new
                return new
            }
        }

        /// The service's own credentials, read from its keytab once.
        private func own(negotiates: Bool, _ outcome: inout guise_gss_outcome) -> Handle? {
            if let known = state.withLock({ $0.own[negotiates] }) { return known }
            guard let made = guise_gss_credential_of_keytab(keytab, negotiates, delegates, &outcome) else {
                return nil
            }
            let credential = Handle.credential(made)
            state.withLock { $0.own[negotiates] = credential }
            return credential
        }

        private func with(_ response: inout WireGssResponse, _ body: (inout guise_gss_outcome) -> Void) {
            var outcome = guise_gss_outcome()
            defer { guise_gss_outcome_clear(&outcome) }
            body(&outcome)
            guard !outcome.failed else {
                response.failure = text(&outcome.error)
                if response.failure.isEmpty { response.failure = "GSSAPI failed" }
                return
            }
            response.finished = outcome.finished
            response.flags = outcome.flags
            response.lifetime = outcome.lifetime
            if let token = outcome.token { response.token = .init(bytes: token, count: outcome.token_size) }
            response.client = text(&outcome.client)
            response.name = text(&outcome.name)
            response.realm = text(&outcome.realm)
            response.target = text(&outcome.target)
        }

        /// A finished context has done what it is for; a failed one goes on no more.
        private func finish(_ context: UInt64, _ credentials: UInt64, _ response: inout WireGssResponse) {
            let ends = response.finished || !response.failure.isEmpty
            response.delegated = state.withLock { state in
                if ends { state.contexts[context] = nil }
                state.awaited.remove(credentials)
                return credentials != 0 && state.credentials[credentials] != nil
            }
        }

        private func text<Field>(_ field: inout Field) -> String {
            withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
    }
#endif
