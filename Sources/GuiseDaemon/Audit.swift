import AccessControl
package import Logging

/// What the authority tells of its decisions: structured log lines, one for each identity that a process was
/// given or refused, and for each refused call.
package struct Audit: Sendable {
    private let log: Logger

    package init(_ log: Logger) { self.log = log }

    /// A process may act as a client from now on.
    func impersonation(_ token: Token.Impersonation, by process: Int32, service: String?, client: Int32) {
        log.info(
            "impersonation",
            metadata: [
                "process": "\(process)", "service": "\(service ?? "-")", "client": "\(client)",
                "user": "\(token.token.user)", "level": "\(token.level)",
            ])
    }

    /// A process may not act as a client.
    func refusal(_ refused: Refused, of user: SID, by process: Int32, service: String?, client: Int32) {
        log.notice(
            "impersonation refused",
            metadata: [
                "process": "\(process)", "service": "\(service ?? "-")", "client": "\(client)",
                "user": "\(user)", "rule": "\(refused.message)",
            ])
    }

    /// An account was logged on by its password. What was refused names no account that does not exist: it may be a
    /// password in the wrong place.
    func logon(_ user: SID, _ type: LogonType, session: UInt64, by process: Int32, uid: UInt32) {
        log.info(
            "logon",
            metadata: [
                "user": "\(user)", "type": "\(type)", "session": "\(session)", "process": "\(process)",
                "uid": "\(uid)",
            ])
    }

    /// An account was not logged on.
    func logonRefused(_ refused: Refused, of user: SID?, _ type: LogonType, by process: Int32, uid: UInt32) {
        log.notice(
            "logon refused",
            metadata: [
                "user": "\(user?.description ?? "-")", "type": "\(type)", "reason": "\(refused.reason)",
                "process": "\(process)", "uid": "\(uid)",
            ])
    }

    /// An account's password was set or, if not, taken away.
    func password(isSet: Bool, of user: SID, by process: Int32, uid: UInt32) {
        log.notice(
            isSet ? "password set" : "password removed",
            metadata: ["user": "\(user)", "process": "\(process)", "uid": "\(uid)"])
    }

    /// Somebody ended a logon session.
    func sessionEnded(_ session: LogonSession, by process: Int32, uid: UInt32) {
        log.notice(
            "session ended",
            metadata: [
                "user": "\(session.user)", "session": "\(session.id)", "process": "\(process)",
                "uid": "\(uid)",
            ])
    }

    /// A call of a mediated thread was refused by Guise itself.
    func denied(
        _ call: String, path: String?, user: SID, service: String, pid: Int32, tid: Int32, rule: String
    ) {
        log.notice(
            "call denied",
            metadata: [
                "call": "\(call)", "path": "\(path ?? "-")", "user": "\(user)", "service": "\(service)",
                "process": "\(pid)", "thread": "\(tid)", "rule": "\(rule)",
            ])
    }

    /// A thread was connected to a server as whom it acts as.
    func connected(to path: String?, as user: SID, level: ImpersonationLevel, service: String, pid: Int32) {
        log.info(
            "connection",
            metadata: [
                "path": "\(path ?? "-")", "user": "\(user)", "level": "\(level)", "service": "\(service)",
                "process": "\(pid)",
            ])
    }

    /// A managed root is not to be used.
    func unavailable(_ root: String, rule: String) {
        log.error("managed root unavailable", metadata: ["root": "\(root)", "rule": "\(rule)"])
    }

    /// A service came or went.
    func service(_ event: String, _ name: String, pid: Int32) {
        log.info("service \(event)", metadata: ["service": "\(name)", "process": "\(pid)"])
    }
}
