public import AccessControl
import GuiseProtocol

/// The names of SIDs: of accounts, well-known identities, and the machine's Unix users and groups.
public enum AccountNames {
    /// The SID behind a name: `alice`, `BUILTIN\Administrators`, `NT SERVICE\files`, `Unix User\www-data`, or a SID as text;
    /// nil when nobody has that name. Corresponds to `LookupAccountName`.
    ///
    /// - Parameter runtimeDirectory: where `guised` runs, as for ``Authority/attach(runtimeDirectory:enforcement:threads:)``.
    public static func sid(named name: String, runtimeDirectory: String? = nil) throws(GuiseError) -> SID? {
        try SID(lookUp(.with { $0.names = [name] }, runtimeDirectory).sid)
    }

    /// The name that people use for a SID; nil when it has none. Corresponds to `LookupAccountSid`.
    ///
    /// - Parameter runtimeDirectory: as for ``sid(named:runtimeDirectory:)``.
    public static func name(of sid: SID, runtimeDirectory: String? = nil) throws(GuiseError) -> String? {
        let name = try lookUp(.with { $0.sids = [sid.description] }, runtimeDirectory).name
        return name.isEmpty ? nil : name
    }

    private static func lookUp(
        _ request: WireLookUp, _ runtimeDirectory: String?
    ) throws(GuiseError) -> WireSidName {
        let client = try AuthorityClient.ofProcess(runtimeDirectory: runtimeDirectory)
        guard case .names(let found) = try client.call(.lookUp(request)), let first = found.names.first else {
            throw .authorityFailed("the authority's answer to a look-up makes no sense")
        }
        return first
    }
}
