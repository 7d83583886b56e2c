import AccessControl
import Logging
import Synchronization

/// The processes that judge tokens, one for each account that has a keytab and clients.
final class GSSProcesses: Sendable {
    private let keytabs: KeytabStore
    private let log: Logger
    private let running = Mutex<[SID: GSSProcess]>([:])

    init(state: String, log: Logger) { (keytabs, self.log) = (KeytabStore(state: state), log) }

    /// The process of an account, started if there is none. Touches the disk.
    ///
    /// - Throws: `notFound` for an account without a keytab, `unsupported` where Kerberos is not installed.
    func process(of account: SID, named name: String) throws(Refused) -> GSSProcess {
        try running.withLock { running throws(Refused) in
            if let known = running[account], !known.hasEnded { return known }
            guard let keytab = try keytabs.keytab(of: account) else {
                throw Refused(
                    .notFound,
                    "\(name) has no keytab, so no client can prove itself to it by Kerberos; an administrator"
                        + " gives it one with `guise account keytab`")
            }
            let cache = try keytabs.replayCache(
                of: account, for: AuthorityUser.isRoot ? GSSProcess.user : nil)
            let process = try GSSProcess(for: account, keytab, replayCache: cache, log: log)
            running[account] = process
            return process
        }
    }

    /// Sets or takes away an account's keytab. Who was proven by the old one stays logged on; what was delegated is gone.
    func set(_ keytab: KeytabStore.Keytab?, of account: SID) throws(Refused) {
        try running.withLock { running throws(Refused) in
            try keytabs.set(keytab, of: account)
            running.removeValue(forKey: account)?.end()
        }
    }
}
