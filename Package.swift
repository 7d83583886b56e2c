// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

// What the adapters are for, under their traits.
let nio: [Target.Dependency] = ["NIOCore", "NIOPosix"].map {
    .product(name: $0, package: "swift-nio", condition: .when(traits: ["NIO"]))
}
let hummingbird: [Target.Dependency] = [
    ("Hummingbird", "hummingbird"), ("HummingbirdCore", "hummingbird"), ("Logging", "swift-log"),
].map {
    .product(name: $0.0, package: $0.1, condition: .when(traits: ["Hummingbird"]))
}
let jwt: [Target.Dependency] = [
    .product(name: "JWTKit", package: "jwt-kit", condition: .when(traits: ["JWT"]))
]
let certificates: [Target.Dependency] = [
    .product(name: "X509", package: "swift-certificates", condition: .when(traits: ["TLS"])),
    .product(name: "SwiftASN1", package: "swift-asn1", condition: .when(traits: ["TLS"])),
]
let tls: [Target.Dependency] = [("NIOSSL", "swift-nio-ssl"), ("NIOTLS", "swift-nio")].map {
    .product(name: $0.0, package: $0.1, condition: .when(traits: ["TLS"]))
}

// GSSAPI, where the trait Kerberos asks for it.
let gssapi: [Target.Dependency] = [.target(name: "CGSSAPI", condition: .when(traits: ["Kerberos"]))]

let grpc: [Target.Dependency] = [
    .product(name: "GRPCCore", package: "grpc-swift-2", condition: .when(traits: ["GRPC"]))
]
let grpcTransport: [Target.Dependency] = [
    .product(
        name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport",
        condition: .when(traits: ["GRPC"]))
]

// Fuzz targets are built by scripts/fuzz alone: they take the sanitizer's flags.
let fuzzers: [Target] =
    Context.environment["GUISE_CONTROL_FUZZ"] == nil
    ? []
    : [
        .executableTarget(
            name: "fuzz-control", dependencies: ["CGuise", "GuiseDaemon", "GuiseProtocol"],
            path: "Fuzz/Control",
            exclude: ["Corpus"],
            swiftSettings: strict),
        .executableTarget(
            name: "fuzz-registry",
            dependencies: [
                "AccessControl", "RegistryDaemon", "RegistryFiles", "RegistryHives", "RegistryModel", "RegistryProtocol",
            ],
            path: "Fuzz/Registry",
            exclude: ["Corpus"],
            swiftSettings: strict),
    ]

let package = Package(
    name: "guise",
    products: [
        .library(name: "AccessControl", targets: ["AccessControl"]),
        .library(name: "Guise", targets: ["Guise"]),
        .library(name: "GuiseDDE", targets: ["GuiseDDE"]),
        .library(name: "GuiseGRPC", targets: ["GuiseGRPC"]),
        .library(name: "GuiseHummingbird", targets: ["GuiseHummingbird"]),
        .library(name: "GuiseKerberos", targets: ["GuiseKerberos"]),
        .library(name: "GuiseNIO", targets: ["GuiseNIO"]),
        .library(name: "RegistryConfiguration", targets: ["RegistryConfiguration"]),
        .library(name: "RegistryFiles", targets: ["RegistryFiles"]),
        .library(name: "RegistryHives", targets: ["RegistryHives"]),
        // libguise.so, as scripts/install-c installs it: `guise` is the tool's name here.
        .library(name: "guise-c", type: .dynamic, targets: ["GuiseC"]),
        .executable(name: "guised", targets: ["guised"]),
        .executable(name: "guise", targets: ["guise"]),
        .executable(name: "guise-pam", targets: ["guise-pam"]),
        .executable(name: "guise-gss", targets: ["guise-gss"]),
        .executable(name: "idn", targets: ["idn"]),
        .executable(name: "reg", targets: ["reg"]),
        .executable(name: "sd", targets: ["sd"]),
        .library(name: "Registry", targets: ["Registry"]),
        .executable(name: "registryd", targets: ["registryd"]),
    ],
    // What an adapter needs is fetched and built only where its trait is enabled.
    traits: [
        .trait(name: "NIO", description: "GuiseNIO: a SwiftNIO channel acts as its client"),
        .trait(
            name: "Hummingbird", description: "GuiseHummingbird: an HTTP request acts as its client",
            enabledTraits: ["NIO"]),
        .trait(name: "Hives", description: "RegistryHives: Windows hive files, by Debian's libhivex-dev"),
        .trait(
            name: "Configuration",
            description: "RegistryConfiguration: swift-configuration reads from a key of the registry"),
        .trait(name: "GRPC", description: "GuiseGRPC: a gRPC call acts as its client"),
        .trait(name: "JWT", description: "the authority knows clients by signed tokens"),
        .trait(
            name: "TLS", description: "the authority, and GuiseNIO, know clients by their certificates",
            enabledTraits: ["NIO"]),
        .trait(
            name: "Kerberos",
            description: "GuiseKerberos: clients proven by Kerberos and Negotiate; takes libkrb5-dev"),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.0"),
    ],
    targets: [
        .target(name: "AccessControl", swiftSettings: strict),
        .target(name: "CGuise", linkerSettings: [.linkedLibrary("crypt")]),
        .target(
            name: "GuiseProtocol",
            dependencies: ["CGuise", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["guise.proto"],
            swiftSettings: strict),
        .target(
            name: "Guise",
            dependencies: [
                "AccessControl", "CGuise", "GuiseProtocol",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .target(name: "CGuiseInterface"),
        .target(
            name: "GuiseC",
            dependencies: [
                "AccessControl", "CGuise", "CGuiseInterface", "Guise",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            exclude: ["exports.map"],
            swiftSettings: strict,
            // It shows guise.h alone, and stays: threads and fork have been told of it.
            linkerSettings: [
                .unsafeFlags(
                    [
                        "--version-script=\(Context.packageDirectory)/Sources/GuiseC/exports.map",
                        "-soname=libguise.so.1", "-z", "nodelete", "-z", "defs",
                    ].flatMap { ["-Xlinker", $0] })
            ]),
        .target(
            name: "GuiseDDE",
            dependencies: [
                "AccessControl", "CGuise", "Guise",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            exclude: ["dde.proto"],
            swiftSettings: strict),
        .target(
            name: "GuiseNIO",
            dependencies: [
                "AccessControl", "Guise", .product(name: "SystemPackage", package: "swift-system"),
            ] + nio + tls,
            swiftSettings: strict),
        .target(
            name: "GuiseHummingbird",
            dependencies: ["AccessControl", "Guise", "GuiseNIO"] + nio + hummingbird + tls,
            swiftSettings: strict),
        // The system's GSSAPI library, MIT Kerberos; empty without the trait.
        .target(
            name: "CGSSAPI",
            cSettings: [.define("GUISE_KERBEROS", .when(traits: ["Kerberos"]))],
            linkerSettings: ["gssapi_krb5", "krb5"].map {
                .linkedLibrary($0, .when(traits: ["Kerberos"]))
            }),
        .target(
            name: "GuiseKerberos",
            dependencies: ["AccessControl", "Guise"] + gssapi,
            swiftSettings: strict),
        .executableTarget(
            name: "guise-gss",
            dependencies: ["GuiseProtocol"] + gssapi,
            swiftSettings: strict),
        .target(
            name: "GuiseGRPC", dependencies: ["AccessControl", "Guise"] + grpc, swiftSettings: strict),
        .target(
            name: "GuiseDaemon",
            dependencies: [
                "AccessControl", "CGuise", "GuiseProtocol",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SystemPackage", package: "swift-system"),
            ] + jwt + certificates,
            swiftSettings: strict),
        .executableTarget(
            name: "guised",
            dependencies: [
                "GuiseDaemon", "GuiseProtocol",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        // Modules of PAM run in it, and so never in the authority.
        .executableTarget(name: "guise-pam", linkerSettings: [.linkedLibrary("pam")]),
        .target(
            name: "ToolSupport",
            dependencies: [
                "AccessControl", "CGuise", "Guise", "GuiseProtocol",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "guise",
            dependencies: [
                "Guise", "CGuise", "GuiseProtocol", "ToolSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "idn",
            dependencies: [
                "AccessControl", "CGuise", "Guise", "GuiseProtocol", "ToolSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "sd",
            dependencies: [
                "AccessControl", "CGuise", "Guise", "GuiseProtocol", "ToolSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .target(
            name: "RegistryFiles", dependencies: ["RegistryModel"], swiftSettings: strict),
        .testTarget(
            name: "RegistryFilesTests", dependencies: ["RegistryFiles", "RegistryModel"], swiftSettings: strict),
        .systemLibrary(name: "CHivex"),
        .target(
            name: "RegistryHives",
            dependencies: [
                "AccessControl", "RegistryModel",
                .target(name: "CHivex", condition: .when(traits: ["Hives"])),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "RegistryHivesTests",
            dependencies: ["AccessControl", "RegistryFiles", "RegistryHives", "RegistryModel"],
            swiftSettings: strict),
        .target(
            name: "RegistryConfiguration",
            dependencies: [
                "Registry", "RegistryModel",
                .product(
                    name: "Configuration", package: "swift-configuration",
                    condition: .when(traits: ["Configuration"])),
            ],
            // The protocol that it conforms to is built with it.
            swiftSettings: strict + [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(
            name: "RegistryConfigurationTests",
            dependencies: [
                "Registry", "RegistryConfiguration", "RegistryModel",
                .product(
                    name: "Configuration", package: "swift-configuration",
                    condition: .when(traits: ["Configuration"])),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "reg",
            dependencies: [
                "AccessControl", "CGuise", "Guise", "GuiseProtocol", "Registry", "RegistryFiles", "RegistryHives",
                "RegistryModel",
                "ToolSupport", .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "guise-example-files", dependencies: ["Guise"], path: "Examples/FileService",
            swiftSettings: strict),
        .executableTarget(
            name: "guise-example-client", dependencies: ["AccessControl", "Guise"],
            path: "Examples/FileClient",
            swiftSettings: strict),
        .executableTarget(
            name: "guise-example-nio", dependencies: ["Guise", "GuiseNIO"] + nio,
            path: "Examples/NIOFileService", swiftSettings: strict),
        .executableTarget(
            name: "guise-example-web",
            dependencies: [
                "Guise", "GuiseHummingbird", .product(name: "SystemPackage", package: "swift-system"),
            ] + hummingbird,
            path: "Examples/WebFiles", swiftSettings: strict),
        .executableTarget(
            name: "guise-test-grpc",
            dependencies: ["AccessControl", "Guise", "GuiseGRPC", "GuiseKerberos"] + grpc + grpcTransport,
            path: "Tests/GRPCService", swiftSettings: strict),
        .executableTarget(
            name: "guise-example-grpc",
            dependencies: [
                "Guise", "GuiseGRPC", .product(name: "SystemPackage", package: "swift-system"),
            ] + grpc + grpcTransport,
            path: "Examples/GRPCFiles", swiftSettings: strict),
        .testTarget(name: "AccessControlTests", dependencies: ["AccessControl"], swiftSettings: strict),
        .testTarget(
            name: "GuiseDaemonTests",
            dependencies: [
                "AccessControl", "CGuise", "CTestSupport", "GuiseDaemon", "GuiseProtocol", "ProofMaker",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ToolTests",
            dependencies: [
                "AccessControl", "CGuise", "GuiseDaemon", "GuiseProtocol", "ToolSupport", "guise", "idn",
                "reg", "sd",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .target(name: "RegistryModel", dependencies: ["AccessControl"], swiftSettings: strict),
        .target(
            name: "RegistryProtocol",
            dependencies: ["RegistryModel", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["registry.proto"],
            swiftSettings: strict),
        .target(
            name: "Registry",
            dependencies: [
                "AccessControl", "Guise", "GuiseProtocol", "RegistryModel", "RegistryProtocol",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .target(
            name: "RegistryDaemon",
            dependencies: [
                "AccessControl", "Guise", "RegistryModel", "RegistryProtocol",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "registryd",
            dependencies: [
                "Guise", "GuiseProtocol", "RegistryDaemon", "RegistryModel", "RegistryProtocol",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "RegistryTests", dependencies: ["Registry", "RegistryModel"], swiftSettings: strict),
        .testTarget(
            name: "RegistryModelTests", dependencies: ["AccessControl", "RegistryModel"], swiftSettings: strict),
        .testTarget(
            name: "RegistryDaemonTests",
            dependencies: ["AccessControl", "RegistryDaemon", "RegistryModel", "RegistryProtocol"],
            swiftSettings: strict),
        .target(name: "CTestSupport", path: "Tests/CTestSupport"),
        .target(name: "ProofMaker", path: "Tests/ProofMaker", swiftSettings: strict),
        .executableTarget(
            name: "guise-test-service",
            dependencies: [
                "AccessControl", "CGuise", "CTestSupport", "Guise", "GuiseDDE", "GuiseKerberos", "GuiseProtocol",
                "Registry", "RegistryModel", "RegistryProtocol",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Tests/TestService", swiftSettings: strict),
        .executableTarget(
            name: "guise-test-adapters",
            dependencies: ["AccessControl", "Guise", "GuiseHummingbird", "GuiseKerberos", "GuiseNIO"] + nio
                + hummingbird + tls,
            path: "Tests/AdapterService", swiftSettings: strict),
        .testTarget(
            name: "GuiseTests",
            dependencies: [
                "AccessControl", "CGuise", "CTestSupport", "Guise", "GuiseProtocol", "ProofMaker", "guise",
                "guise-gss", "guised", "idn", "sd",
                "guise-example-files", "guise-example-client", "guise-example-nio", "guise-example-web",
                "guise-example-grpc", "guise-test-adapters", "guise-test-grpc", "guise-test-service", "reg", "registryd",
            ],
            swiftSettings: strict),
    ] + fuzzers,
    swiftLanguageModes: [.v6]
)
