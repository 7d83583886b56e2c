int guise_placeholder;
