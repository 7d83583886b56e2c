import Foundation

/// Makes tokens and certificates of any kind in a directory, by openssl(1).
package final class ProofMaker {
    package let directory: String

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package static var isPossible: Bool { access("/usr/bin/openssl", X_OK) == 0 }

    /// - Parameter directory: which is there.
    package init(in directory: String) throws {
        self.directory = directory
        try write("req.cnf", "[req]\ndistinguished_name=dn\n[dn]\n")
    }

    package func path(_ name: String) -> String { directory + "/" + name }

    package func write(_ name: String, _ text: String) throws {
        try text.write(toFile: path(name), atomically: false, encoding: .utf8)
    }

    package func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: path(name))))
    }

    private func openssl(_ arguments: String...) throws { try run(arguments) }

    @discardableResult
    private func run(_ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        let (output, errors) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput, process.standardError) =
            (FileHandle.nullDevice, output, errors)
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let complaint = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(description: "openssl \(arguments): " + String(decoding: complaint, as: UTF8.self))
        }
        return String(decoding: text, as: UTF8.self)
    }

    // MARK: Tokens

    /// Makes an RSA key; its file is `NAME.pem`.
    package func key(_ name: String) throws {
        try openssl("genrsa", "-out", path(name + ".pem"), "2048")
        try openssl("rsa", "-in", path(name + ".pem"), "-pubout", "-out", path(name + ".pub"))
    }

    /// The public key as a JWK.
    package func jwk(_ name: String, more: String = #","alg":"RS256""#) throws -> String {
        let text = try run(["rsa", "-in", path(name + ".pem"), "-noout", "-modulus"])
        let digits = Array(text.trimmingCharacters(in: .whitespacesAndNewlines).split(separator: "=")[1])
        let modulus = stride(from: 0, to: digits.count, by: 2).map {
            UInt8(String(digits[$0...$0 + 1]), radix: 16)!
        }
        return #"{"kty":"RSA","kid":"\#(name)","n":"\#(Self.base64(modulus))","e":"AQAB"\#(more)}"#
    }

    package func jwks(_ names: String...) throws -> String {
        #"{"keys":[\#(try names.map { try jwk($0) }.joined(separator: ","))]}"#
    }

    /// A token.
    ///
    /// - Parameters:
    ///   - header: JSON; nil for that of RS256 by the key.
    ///   - secret: the file of a shared secret, instead of the key.
    package func token(_ claims: String, key: String, header: String? = nil, secret: String? = nil) throws
        -> String
    {
        let header = header ?? #"{"alg":"RS256","typ":"JWT","kid":"\#(key)"}"#
        let signed = Self.base64(Array(header.utf8)) + "." + Self.base64(Array(claims.utf8))
        let name = "token.\(UUID())"
        try write(name, signed)
        defer { for end in ["", ".sig"] { unlink(path(name + end)) } }
        if let secret {
            let hexadecimal = try bytes(secret).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            try openssl(
                "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:" + hexadecimal, "-binary", "-out",
                path(name + ".sig"), path(name))
        } else {
            try openssl(
                "dgst", "-sha256", "-sign", path(key + ".pem"), "-out", path(name + ".sig"), path(name))
        }
        return signed + "." + Self.base64(try bytes(name + ".sig"))
    }

    package static func base64(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacingOccurrences(of: "+", with: "-")
            .replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
    }

    // MARK: Certificates

    /// Makes a certification authority; its files are `NAME.pem` and `NAME.key`.
    ///
    /// - Parameters:
    ///   - subject: its common name; nil for the same name.
    ///   - key: whose key it has, too; nil for one of its own.
    package func authority(
        _ name: String, subject: String? = nil, keyOf key: String? = nil, extensions: [String] = []
    ) throws {
        var arguments = [
            "req", "-x509", "-config", path("req.cnf"), "-nodes", "-out", path(name + ".pem"), "-subj",
            "/CN=\(subject ?? name)", "-days", "30",
        ]
        if let key {
            arguments += ["-key", path(key + ".key")]
        } else {
            arguments += [
                "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", path(name + ".key"),
            ]
        }
        for one in ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"] + extensions {
            arguments += ["-addext", one]
        }
        try run(arguments)
    }

    /// Makes a certificate; its files are `NAME.pem` and `NAME.key`.
    package func certificate(
        _ name: String, by authority: String, _ extensions: [String] = ["extendedKeyUsage=clientAuth"],
        serial: String = "1", days: Int = 30
    ) throws {
        try run([
            "req", "-config", path("req.cnf"), "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout", path(name + ".key"), "-out", path(name + ".csr"), "-subj", "/CN=\(name)",
        ])
        try write(name + ".ext", extensions.joined(separator: "\n") + "\n")
        try run([
            "x509", "-req", "-in", path(name + ".csr"), "-CA", path(authority + ".pem"), "-CAkey",
            path(authority + ".key"), "-set_serial", "0x" + serial, "-days", "\(days)", "-extfile",
            path(name + ".ext"), "-out", path(name + ".pem"),
        ])
    }

    /// A certificate in DER.
    package func der(_ name: String) throws -> [UInt8] {
        let lines = try String(contentsOfFile: path(name + ".pem"), encoding: .utf8).split(separator: "\n")
        let text = lines.drop { !$0.hasPrefix("-----BEGIN") }.dropFirst().prefix { !$0.hasPrefix("-----END") }
        guard let bytes = Data(base64Encoded: text.joined()) else { throw Failure(description: "no PEM") }
        return Array(bytes)
    }
}
