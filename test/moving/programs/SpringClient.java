import org.springframework.security.oauth2.client.AuthorizedClientServiceOAuth2AuthorizedClientManager;
import org.springframework.security.oauth2.client.InMemoryOAuth2AuthorizedClientService;
import org.springframework.security.oauth2.client.OAuth2AuthorizeRequest;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.client.registration.InMemoryClientRegistrationRepository;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;

/** Gets a token with Spring Security as a service without users does, and prints it. */
public class SpringClient {
  public static void main(String[] args) {
    ClientRegistration registration = ClientRegistration.withRegistrationId("old")
        .clientId(System.getenv("CLIENT_ID"))
        .clientSecret(System.getenv("CLIENT_SECRET"))
        .clientAuthenticationMethod(new ClientAuthenticationMethod(System.getenv("AUTH_METHOD")))
        .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
        .scope(System.getenv("SCOPE").split(" "))
        .tokenUri(System.getenv("TOKEN_URL"))
        .build();
    var registrations = new InMemoryClientRegistrationRepository(registration);
    var manager = new AuthorizedClientServiceOAuth2AuthorizedClientManager(
        registrations, new InMemoryOAuth2AuthorizedClientService(registrations));
    var client = manager.authorize(
        OAuth2AuthorizeRequest.withClientRegistrationId("old").principal("service").build());
    System.out.println(client.getAccessToken().getTokenValue());
  }
}
