/// The rules for names of accounts: what both `useradd` and Windows can live with.
enum AccountName {
    /// The key under which names are compared: upper and lower case are the same name.
    static func folded(_ name: String) -> String {
        name.lowercased()
    }

    /// Throws when an account may not have this name.
    static func validate(_ name: String) throws(AccountError) {
        if let rule = brokenRule(name) { throw .invalidName(name: name, rule: rule) }
    }

    private static func brokenRule(_ name: String) -> String? {
        if name.isEmpty { return "it is empty" }
        if name.utf8.count > 64 { return "it is longer than 64 bytes" }
        if name.hasPrefix("-") { return "it would be taken for an option" }
        if name.hasPrefix(" ") || name.hasSuffix(" ") { return "it begins or ends with a space" }
        if name.allSatisfy({ $0 == "." || $0 == " " }) { return "it has only dots and spaces" }
        if name.utf8.allSatisfy({ (0x30...0x39).contains($0) }) { return "it would be taken for a number" }
        if name.lowercased().hasPrefix("s-1-") { return "it would be taken for a SID" }
        for scalar in name.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator:
                return "it has an invisible character"
            default:
                break
            }
            if #"/\:*?"<>|"#.unicodeScalars.contains(scalar) { return "\(scalar) is not allowed in names" }
        }
        if WellKnownNames.sid(named: name) != nil { return "it is the name of a well-known account" }
        return nil
    }
}
