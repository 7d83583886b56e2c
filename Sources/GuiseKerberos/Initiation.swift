#if Kerberos
    import AccessControl
    import CGSSAPI
    import Guise
    import Synchronization

    /// The connecting side with the credentials of this process's user.
    final class Initiation: SecurityExchange {
        private let package: String
        private let target: String
        private let level: ImpersonationLevel

        private final class Handles: @unchecked Sendable {
            // Sendable by hand: used under the exchange's lock.
            var context: UnsafeMutableRawPointer?
            var credential: UnsafeMutableRawPointer?
            var hasEnded = false

            deinit {
                if let context { guise_gss_context_free(context) }
                if let credential { guise_gss_credential_free(credential) }
            }
        }
        private let handles = Mutex(Handles())

        init(package: String, to target: String, level: ImpersonationLevel) {
            (self.package, self.target, self.level) = (package, target, level)
        }

        func step(_ token: [UInt8]) throws(GuiseError) -> SecurityStep {
            try handles.withLock { handles throws(GuiseError) in
                guard !handles.hasEnded else { throw .closed("the exchange has ended; begin another") }
                handles.hasEnded = true
                var outcome = guise_gss_outcome()
                defer { guise_gss_outcome_clear(&outcome) }
                if handles.credential == nil {
                    handles.credential = guise_gss_credential_of_user(&outcome)
                }
                if handles.credential != nil {
                    guise_gss_initiate(
                        &handles.context, handles.credential, target, package == "Negotiate",
                        SecurityContext.Flags.request(level).rawValue, token, token.count, &outcome)
                }
                guard !outcome.failed else {
                    throw .logonFailed("no way to \(target) by \(package): \(text(&outcome.error))")
                }
                let reply = outcome.token.map {
                    [UInt8](UnsafeBufferPointer(start: $0, count: outcome.token_size))
                }
                guard outcome.finished else {
                    handles.hasEnded = false
                    return .more(reply: reply ?? [])
                }
                let flags = SecurityContext.Flags(rawValue: outcome.flags)
                let attributes = SecurityContext.Attributes(
                    package: "Kerberos", client: text(&outcome.client), target: text(&outcome.target),
                    level: flags.level, expiry: nil, flags: flags)
                return .finished(SecurityContext(initiated: attributes), reply: reply ?? [])
            }
        }

        private func text<Field>(_ field: inout Field) -> String {
            withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
    }
#endif
