package import AccessControl
package import GuiseProtocol

extension Token {
    /// The token that a view shows, for deciding here what the authority would decide.
    package init(_ view: WireTokenView) throws {
        guard let user = SID(view.user.sid) else { throw ToolError("the authority's answer names no user") }
        var fields = Fields(
            user: user, integrity: IntegrityLevel(rawValue: view.integrity), logonSession: view.session)
        fields.groups = Self.groups(view.groups)
        fields.restrictingSIDs = Self.groups(view.restricting)
        fields.isWriteRestricted = view.writeRestricted
        fields.privileges = Privileges(
            present: Self.privileges(view) { _ in true }, enabled: Self.privileges(view, where: \.enabled),
            enabledByDefault: Self.privileges(view, where: \.enabledByDefault))
        try self.init(fields)
    }

    private static func groups(_ views: [WireGroupView]) -> [Group] {
        views.compactMap { view in
            SID(view.sid.sid).map { Group($0, Group.Attributes(rawValue: view.attributes)) }
        }
    }

    private static func privileges(
        _ view: WireTokenView, where isMeant: (WirePrivilegeView) -> Bool
    ) -> PrivilegeSet {
        PrivilegeSet(view.privileges.filter(isMeant).compactMap { Privilege(rawValue: $0.luid) })
    }
}
