#if Kerberos
    public import AccessControl
    public import Guise

    /// Kerberos 5 (RFC 4121) through the system's GSSAPI library.
    ///
    /// The accepting side takes the keytab that an administrator gave the service's account (`guise account keytab`); the
    /// connecting side takes the credentials of the process's user, those that `klist` shows, or, on a thread that acts as a
    /// client at level Delegation, the client's.
    ///
    /// What the client allows goes with its token: at ``ImpersonationLevel/identification`` as GSS_C_IDENTIFY_FLAG (RFC
    /// 4757), at ``ImpersonationLevel/delegation`` as GSS_C_DELEG_FLAG with a forwarded ticket, for which its own has to be
    /// forwardable.
    public struct Kerberos: SecurityPackage {
        /// `Kerberos`.
        public let name = "Kerberos"

        /// Makes the package.
        public init() {}

        /// Begins the accepting side.
        public func accept(runtimeDirectory: String?) throws(GuiseError) -> any SecurityExchange {
            try AuthorityExchange(package: name, runtimeDirectory: runtimeDirectory)
        }

        /// Begins the connecting side.
        ///
        /// - Parameters:
        ///   - target: `HTTP@files.a.test`, or a principal with a slash, `HTTP/files.a.test@A.TEST`.
        ///   - level: not Anonymous, which Kerberos cannot say.
        public func initiate(
            to target: String, level: ImpersonationLevel
        ) throws(GuiseError) -> any SecurityExchange {
            try initiation(package: name, to: target, level: level)
        }

        /// The token of somebody who is not here, who proved to this service elsewhere who he is (protocol transition,
        /// S4U2Self). Corresponds to `LsaLogonUser` with `KERB_S4U_LOGON`.
        ///
        /// Asks the KDC. Who he is here the mapping rules say, as for any client.
        ///
        /// - Parameters:
        ///   - client: a principal, `alice@A.TEST`.
        ///   - runtimeDirectory: where `guised` runs.
        /// - Returns: A context at level Identification; with SeTcbPrivilege at Impersonation, or Delegation if the KDC lets
        ///   the service act as its clients elsewhere.
        /// - Throws: ``GuiseError/logonFailed(_:)`` when the KDC does not know him, or no account is his.
        public func transition(
            to client: String, runtimeDirectory: String? = nil
        ) throws(GuiseError) -> SecurityContext {
            try AuthorityExchange(package: name, runtimeDirectory: runtimeDirectory).transition(to: client)
        }
    }

    /// SPNEGO (RFC 4178): the two sides agree on a mechanism, which is Kerberos. NTLM is not offered, and not accepted.
    /// `Authorization: Negotiate` of HTTP (RFC 4559).
    public struct Negotiate: SecurityPackage {
        /// `Negotiate`.
        public let name = "Negotiate"

        /// Makes the package.
        public init() {}

        /// Begins the accepting side.
        public func accept(runtimeDirectory: String?) throws(GuiseError) -> any SecurityExchange {
            try AuthorityExchange(package: name, runtimeDirectory: runtimeDirectory)
        }

        /// Begins the connecting side, as ``Kerberos/initiate(to:level:)`` does.
        public func initiate(
            to target: String, level: ImpersonationLevel
        ) throws(GuiseError) -> any SecurityExchange {
            try initiation(package: name, to: target, level: level)
        }
    }

    /// As whom the calling thread acts: the authority's to make for a client, this process's own for itself.
    private func initiation(
        package: String, to target: String, level: ImpersonationLevel
    ) throws(GuiseError) -> any SecurityExchange {
        guard level > .anonymous else {
            throw .invalid("Kerberos has no way to be nobody; connect without it")
        }
        guard !target.isEmpty, target.utf8.count < 1024, !target.utf8.contains(0) else {
            throw .invalid("name the service, SERVICE@HOST or a principal")
        }
        return try DelegatedInitiation.ofThread(package: package, to: target, level: level)
            ?? Initiation(package: package, to: target, level: level)
    }
#endif
