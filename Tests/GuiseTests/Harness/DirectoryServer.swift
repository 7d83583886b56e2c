import CGuise
import Foundation

/// A real OpenLDAP server on a socket in a folder of its own, for KDCs that keep their principals in one: the only
/// database of MIT's in which a service's list of those that it may go to for its clients can be kept.
final class DirectoryServer {
    static var isPossible: Bool {
        let needed = [
            "/usr/sbin/slapd", "/usr/sbin/slapadd", "/usr/bin/ldapmodify", "/usr/sbin/kdb5_ldap_util",
        ]
        return (needed + [schema]).allSatisfy { access($0, R_OK) == 0 }
    }

    static let administrator = "cn=admin,cn=realms"
    static let password = "secret"
    /// What the realms are kept under.
    static let container = "cn=kerberos,cn=realms"
    private static let schema = "/usr/share/doc/krb5-kdc-ldap/kerberos.schema.gz"

    /// `ldapi://` and the socket's path, percent-encoded.
    let url: String
    private let stage: Stage
    private let directory: String

    init(_ stage: Stage) throws {
        self.stage = stage
        directory = stage.folder("ldap", mode: 0o700)
        let data = stage.folder("ldap/data", mode: 0o700)
        url = "ldapi://" + (directory + "/socket").replacing("/", with: "%2f")
        try run(["/bin/sh", "-c", "zcat \(Self.schema) > \(directory)/kerberos.schema"])
        try """
        include /etc/ldap/schema/core.schema
        include /etc/ldap/schema/cosine.schema
        include \(directory)/kerberos.schema
        modulepath /usr/lib/ldap
        moduleload back_mdb
        database mdb
        maxsize 16777216
        suffix cn=realms
        rootdn \(Self.administrator)
        rootpw \(Self.password)
        directory \(data)
        """.write(toFile: directory + "/slapd.conf", atomically: false, encoding: .utf8)
        try "dn: cn=realms\nobjectClass: organizationalRole\ncn: realms\n".write(
            toFile: directory + "/base.ldif", atomically: false, encoding: .utf8)
        try run(["/usr/sbin/slapadd", "-f", directory + "/slapd.conf", "-l", directory + "/base.ldif"])
        _ = try stage.start(["/usr/sbin/slapd", "-d", "0", "-f", directory + "/slapd.conf", "-h", url])
        // Its socket is there before it answers.
        try eventually("the directory server") { [url] in
            try stage.run([
                "/usr/bin/ldapwhoami", "-x", "-D", Self.administrator, "-w", Self.password, "-H", url,
            ]).status == 0
        }
    }

    /// What the KDC of a realm is told of its database.
    func module(_ password: String) -> String {
        """
        [dbmodules]
        ldap = {
          db_library = kldap
          ldap_kerberos_container_dn = \(Self.container)
          ldap_kdc_dn = \(Self.administrator)
          ldap_kadmind_dn = \(Self.administrator)
          ldap_service_password_file = \(password)
          ldap_servers = \(url)
        }
        """
    }

    /// The file with the password that a KDC binds by.
    func passwordFile() throws -> String {
        let path = directory + "/password"
        let digits = Self.password.utf8.map { String($0, radix: 16) }.joined()
        try "\(Self.administrator)#{HEX}\(digits)\n".write(toFile: path, atomically: false, encoding: .utf8)
        chmod(path, 0o600)
        return path
    }

    /// Lets a service go to another one for its clients.
    func allow(_ service: String, to target: String, in realm: String) throws {
        let path = directory + "/change.ldif"
        try """
        dn: krbPrincipalName=\(service)@\(realm),cn=\(realm),\(Self.container)
        changetype: modify
        add: krbAllowedToDelegateTo
        krbAllowedToDelegateTo: \(target)@\(realm)

        """.write(toFile: path, atomically: false, encoding: .utf8)
        try run([
            "/usr/bin/ldapmodify", "-x", "-D", Self.administrator, "-w", Self.password, "-H", url, "-f", path,
        ])
    }

    private func run(_ command: [String]) throws {
        let outcome = try stage.run(command)
        guard outcome.status == 0 else { throw HarnessError("\(command[0]): \(outcome.errors)") }
    }
}
