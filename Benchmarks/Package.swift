// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that who uses Guise never builds it. Run it by ../scripts/benchmark.
let package = Package(
    name: "guise-benchmarks",
    traits: [
        .trait(name: "GRPC", description: "measures gRPC calls, too"),
        .trait(name: "Kerberos", description: "measures clients proven by Kerberos, too; takes libkrb5-dev"),
    ],
    dependencies: [
        .package(
            name: "guise", path: "..",
            traits: [
                .trait(name: "GRPC", condition: .when(traits: ["GRPC"])),
                .trait(name: "Kerberos", condition: .when(traits: ["Kerberos"])),
            ]),
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
    ],
    targets: [
        .target(name: "CFloor"),
        .executableTarget(
            name: "guise-bench",
            dependencies: [
                "CAllocationCounter", "CFloor", "CGSSBaseline", "CSambaBaseline",
                .product(name: "AccessControl", package: "guise"),
                .product(name: "Guise", package: "guise"),
                .product(name: "Registry", package: "guise"),
                .product(name: "GuiseGRPC", package: "guise", condition: .when(traits: ["GRPC"])),
                .product(name: "GuiseKerberos", package: "guise", condition: .when(traits: ["Kerberos"])),
                .product(name: "GRPCCore", package: "grpc-swift-2", condition: .when(traits: ["GRPC"])),
                .product(
                    name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport",
                    condition: .when(traits: ["GRPC"])),
            ]),
        .target(name: "CAllocationCounter"),
        // The system's GSSAPI library, MIT Kerberos; empty without the trait.
        .target(
            name: "CGSSBaseline",
            cSettings: [.define("GUISE_KERBEROS", .when(traits: ["Kerberos"]))],
            linkerSettings: [.linkedLibrary("gssapi_krb5", .when(traits: ["Kerberos"]))]),
        // Loads Samba's library where it is installed, so that the ratio is measured and not remembered.
        .target(name: "CSambaBaseline", cSettings: [.unsafeFlags(["-I/usr/include/samba-4.0"])]),
    ],
    swiftLanguageModes: [.v6]
)
