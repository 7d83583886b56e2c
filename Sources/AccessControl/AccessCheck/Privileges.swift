/// The bits that privileges grant, each privilege's apart so that only needed ones are marked used.
struct PrivilegedBits {
    var security: UInt32 = 0
    var backup: UInt32 = 0
    var restore: UInt32 = 0

    var isEmpty: Bool { security | backup | restore == 0 }
    var inOrder: [(Privilege, UInt32)] { [(.security, security), (.backup, backup), (.restore, restore)] }
}

extension Evaluation {
    /// Stage 2: what privileges grant. ACCESS_SYSTEM_SECURITY is given by nothing else, and MAXIMUM_ALLOWED
    /// does not ask for it.
    @inline(__always)
    func bitsByPrivilege(_ intent: AccessIntent) -> PrivilegedBits {
        var out = PrivilegedBits()
        if desired & StandardRights.accessSystemSecurity != 0, holds(.security) {
            out.security = StandardRights.accessSystemSecurity
        }
        guard !intent.isEmpty else { return out }
        if intent.contains(.backup), holds(.backup) { out.backup = mapping.read }
        if intent.contains(.restore), holds(.restore) {
            out.restore =
                mapping.write | StandardRights.writeDAC | StandardRights.writeOwner | StandardRights.delete
        }
        return out
    }
}
