package import GuiseProtocol

/// A logon session as tools show it.
package struct SessionView: Encodable {
    package let id: UInt64
    let sid: String
    let user: NamedSID
    let type: String
    let since: Moment

    package init(_ wire: WireSessionView) {
        id = wire.id
        sid = wire.sid
        user = NamedSID(wire.user)
        type =
            switch wire.kind {
            case .unix: "unix"
            case .service: "service"
            case .networkLogon: "network"
            case .packageLogon: "package"
            case .interactiveLogon: "interactive"
            case .batchLogon: "batch"
            case .serviceLogon: "service logon"
            case .unspecified, .UNRECOGNIZED: "unknown"
            }
        since = Moment(milliseconds: wire.since)
    }

    package static func show(_ sessions: [SessionView], as output: OutputOptions) throws {
        if output.json { return try JSON.show(sessions) }
        var table = Table("SESSION", "TYPE", "SINCE", "USER")
        for session in sessions {
            table.add(session.sid, session.type, session.since.description, session.user.description)
        }
        table.show()
    }
}
